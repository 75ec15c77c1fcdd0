//! Serving https with a certificate of our own making, since most clients insist on it.

use super::{ConnectWiseError, Result};
use crate::wire::{Wire, WireIo, Wires};
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest handshake; who takes longer is let go.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Connections whose handshake is done and that wait to be served.
const READY_MAX: usize = 256;

/// A certificate with its key.
pub(super) struct Identity {
    config: Arc<rustls::ServerConfig>,
    /// The certificate, for clients to trust.
    pub pem: String,
}

impl Identity {
    /// Makes a certificate for this machine's names and the address.
    pub(super) fn make(addr: SocketAddr) -> Result<Identity> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| {
            ConnectWiseError::Certificate { source }
        };
        let names = [
            "localhost".to_owned(),
            "127.0.0.1".into(),
            "::1".into(),
            addr.ip().to_string(),
        ];
        let made =
            rcgen::generate_simple_self_signed(names).map_err(|error| wrong(error.into()))?;
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| wrong(error.into()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.into()))?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .map_err(|error| wrong(error.into()))?;
        Ok(Identity {
            config: Arc::new(config),
            pem: made.cert.pem(),
        })
    }
}

/// Accepts connections and shakes hands with several at a time.
pub(super) struct TlsWires {
    ready: mpsc::Receiver<(TlsStream<WireIo>, Wire)>,
    addr: io::Result<Wire>,
}

impl TlsWires {
    pub(super) fn new(mut wires: Wires, identity: Identity) -> TlsWires {
        let (tell, ready) = mpsc::channel(READY_MAX);
        let addr = wires.local_addr();
        let acceptor = TlsAcceptor::from(identity.config);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = wires.accept() => accepted,
                    // Nobody serves any more: the port is given back.
                    () = tell.closed() => return,
                };
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    let (io, wire) = accepted;
                    let shaken = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(io)).await;
                    if let Ok(Ok(stream)) = shaken {
                        drop(tell.send((stream, wire)).await);
                    }
                });
            }
        });
        TlsWires { ready, addr }
    }
}

impl Listener for TlsWires {
    type Io = TlsStream<WireIo>;
    type Addr = Wire;

    async fn accept(&mut self) -> (TlsStream<WireIo>, Wire) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Wire> {
        match &self.addr {
            Ok(wire) => Ok(wire.clone()),
            Err(error) => Err(error.kind().into()),
        }
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, TlsWires>> for Wire {
    fn connect_info(stream: axum::serve::IncomingStream<'_, TlsWires>) -> Wire {
        stream.remote_addr().clone()
    }
}
