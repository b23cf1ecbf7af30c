//! Whatever a guest sends, the host ends the channel or waits: it does not panic, and keeps no more than its bounds.

#![no_main]

use std::time::Duration;

use coracle_guest_proto::message::{Dialed, ToHost};
use coracle_guest_proto::{HostEnd, StreamHeader, command, frame, handshake, log};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;

fuzz_target!(|input: &[u8]| {
    let Some((kind, sent)) = input.split_first() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match kind % 6 {
            0 => {
                let mut left = sent;
                while frame::read::<ToHost>(&mut left).await.is_ok() {}
            }
            1 => _ = frame::read::<Dialed>(&mut &sent[..]).await,
            2 => {
                let mut left = sent;
                while log::read(&mut left).await.is_ok() {}
            }
            3 => hello(sent).await,
            4 => channel(sent).await,
            _ => {
                let mut left = sent;
                while command::read(&mut left).await.is_ok() {}
            }
        }
    });
});

/// The handshake of a host with whatever answers.
async fn hello(sent: &[u8]) {
    let (mut host, mut guest) = tokio::io::duplex(64 * 1024);
    let greeting = tokio::time::timeout(Duration::from_secs(10), handshake::host(&mut host, [0; 16]));
    let answering = async {
        guest.write_all(sent).await.ok();
        guest.shutdown().await.ok();
    };
    _ = tokio::join!(greeting, answering);
}

/// A proper handshake, then anything at all.
async fn channel(sent: &[u8]) {
    let (host, mut guest) = tokio::io::duplex(64 * 1024);
    let answering = async {
        handshake::guest(&mut guest).await.ok();
        guest.write_all(sent).await.ok();
        guest.shutdown().await.ok();
    };
    let using = async {
        let host = HostEnd::connect(host, [0; 16]).await.ok()?;
        let mut control = host.open(&StreamHeader::Control).await.ok()?;
        while frame::read::<ToHost>(&mut control).await.is_ok() {}
        host.closed().await;
        Some(())
    };
    _ = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(answering, using) }).await;
}
