//! What a sandbox reaches within this process: addresses that lead to no other machine, whatever the rules say of
//! those.
//!
//! | address | leads to | while |
//! |---|---|---|
//! | [`Link::GATEWAY`], port 53 | [names](crate::dns) | always |
//! | [`Link::METADATA`], port 80 | [metadata](crate::metadata) | always |
//! | [`Link::GATEWAY`], from [`Link::FOLDER_PORT`] on | a folder of the host's for each port | the sandbox's agent mounts it |
//! | [`Link::GATEWAY`], [`Link::SERVER_PORT`] | the door, behind which this server takes it for a client like any other | the sandbox has an identity |

use std::net::SocketAddrV4;
use std::sync::Arc;

use coracle_nfs::Folder;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::cable::Link;
use crate::dns::{self, Names};
use crate::metadata::{self, Metadata};

/// Where connections of sandboxes to this server come out.
pub type Door = mpsc::Sender<DuplexStream>;

/// What is within, for one sandbox.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) names: Arc<Names>,
    pub(crate) metadata: Arc<Metadata>,
    /// None where sandboxes do not reach this server.
    pub(crate) door: Option<Door>,
    /// What is mounted, in the order of its ports. None for what the operator offers no longer.
    pub(crate) folders: Vec<Option<Arc<Folder>>>,
}

/// One of the places within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Names,
    Metadata,
    Server,
    /// The folder with this number.
    Folder(u16),
}

impl Inside {
    /// The place that this address leads to now.
    pub(crate) fn at(&self, to: SocketAddrV4) -> Option<Place> {
        match (*to.ip(), to.port()) {
            (Link::GATEWAY, dns::PORT) => Some(Place::Names),
            (Link::METADATA, metadata::PORT) => Some(Place::Metadata),
            (Link::GATEWAY, Link::SERVER_PORT) if self.door.is_some() && self.metadata.has_identity() => {
                Some(Place::Server)
            }
            (Link::GATEWAY, port) => {
                let number = port.checked_sub(Link::FOLDER_PORT)?;
                self.folder(number).map(|_| Place::Folder(number))
            }
            _ => None,
        }
    }

    fn folder(&self, number: u16) -> Option<&Arc<Folder>> {
        self.folders.get(usize::from(number))?.as_ref()
    }

    /// Serves a connection, or gives it to who serves it. One that nobody serves is closed.
    pub(crate) async fn serve(&self, place: Place, connection: DuplexStream) {
        match (place, &self.door) {
            (Place::Names, _) => self.names.serve(connection).await,
            (Place::Metadata, _) => self.metadata.serve(connection).await,
            (Place::Server, Some(door)) => {
                // A server that takes no more is on its way out.
                door.send(connection).await.ok();
            }
            (Place::Folder(number), _) => {
                if let Some(folder) = self.folder(number) {
                    Arc::clone(folder).serve(connection).await;
                }
            }
            (Place::Server, None) => {}
        }
    }
}
