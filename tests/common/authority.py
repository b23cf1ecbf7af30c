"""A certificate authority of one's own, for servers under the service's host names."""

import subprocess
from pathlib import Path

REGION = "us-east-1"
DATA_PLANE = f"bedrock-agentcore.{REGION}.amazonaws.com"
CONTROL_PLANE = f"bedrock-agentcore-control.{REGION}.amazonaws.com"


class Authority:
    """Issues certificates, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        self.server_certificate, self.server_key = folder / "server.pem", folder / "server.key"
        self._openssl(
            "req", "-x509", "-subj", "/CN=test", "-days", "2", "-out", self.certificate, *self._new(self._key)
        )
        self.issue()

    def issue(self) -> None:
        """Puts a certificate of the service's names and its key where the server looks."""
        request, names = self._folder / "request", self._folder / "names"
        names.write_text(f"subjectAltName=DNS:{DATA_PLANE},DNS:{CONTROL_PLANE}\n")
        key, certificate = self._folder / "new.key", self._folder / "new.pem"
        self._openssl("req", "-subj", "/CN=server", "-out", request, *self._new(key))
        signer = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        self._openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-extfile", names, "-out", certificate)
        key.rename(self.server_key)
        certificate.rename(self.server_certificate)

    def settings(self) -> dict[str, str]:
        """The section `tls` of a server's configuration."""
        return {
            "listen": "127.0.0.1:0",
            "certificate": str(self.server_certificate),
            "key": str(self.server_key),
        }

    def _new(self, key: Path) -> tuple[object, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key)

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
