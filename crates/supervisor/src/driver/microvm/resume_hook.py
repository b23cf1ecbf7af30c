"""Renews what must differ between sessions restored from one template. Put here by Coracle.

Every Python process of the agent connects to the guest while the template is made and waits. After a restore the
guest writes a byte; this process then renews what lives in its memory and answers. Nothing here may disturb the
agent: modules it has not imported stay unimported, the waiting thread is unknown to `threading`, and a step that
fails is skipped.
"""
import os
import sys

SOCKET = "/run/coracle/resume"
_connection = None


def _random(module):
    module.seed()


def _tempfile(module):
    # It draws names from a generator of its own.
    module._name_sequence = None


def _uuid(module):
    # libuuid keeps node and clock sequence where nobody can reach them; the module's own code asks for new ones.
    module._generate_time_safe = None
    module._node = int.from_bytes(os.urandom(6), "big") | (1 << 40)
    for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
        if hasattr(module, name):
            setattr(module, name, None)


def _numpy(module):
    module.seed()


def _openssl(module):
    module.RAND_add(os.urandom(32), 32.0)


STEPS = {
    "random": _random,
    "tempfile": _tempfile,
    "uuid": _uuid,
    "numpy.random": _numpy,
    "_ssl": _openssl,
}


def _renew():
    for name, step in STEPS.items():
        module = sys.modules.get(name)
        if module is not None:
            try:
                step(module)
            except Exception:
                pass


def _wait(connection):
    try:
        while connection.recv(1):
            _renew()
            connection.send(b".")
    except Exception:
        pass


def _watch():
    global _connection
    inherited, _connection = _connection, None
    try:
        if inherited is not None:
            inherited.close()
        if not os.path.exists(SOCKET):
            return
        import _socket
        import _thread

        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.connect(SOCKET)
        _connection = connection
        _thread.start_new_thread(_wait, (connection,))
    except Exception:
        pass


_watch()
os.register_at_fork(after_in_child=_watch)
