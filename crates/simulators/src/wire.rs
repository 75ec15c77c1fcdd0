//! Connections that the simulator can cut in the middle, as a failing network would.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections that can be cut.
pub(crate) struct Wires(pub TcpListener);

/// One connection.
pub(crate) struct WireIo {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

/// Address of a connection, with the handler's way to refer to it.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub peer: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Wire {
    /// Nothing more is sent: the peer sees a reset.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

impl axum::serve::Listener for Wires {
    type Io = WireIo;
    type Addr = Wire;

    async fn accept(&mut self) -> (WireIo, Wire) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    drop(stream.set_nodelay(true));
                    let cut = Arc::new(AtomicBool::new(false));
                    return (
                        WireIo {
                            stream,
                            cut: cut.clone(),
                        },
                        Wire { peer, cut },
                    );
                }
                // Out of descriptors, most likely: give running calls time to end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Wire> {
        Ok(Wire {
            peer: self.0.local_addr()?,
            cut: Arc::default(),
        })
    }
}

impl axum::extract::connect_info::Connected<axum::serve::IncomingStream<'_, Wires>> for Wire {
    fn connect_info(stream: axum::serve::IncomingStream<'_, Wires>) -> Wire {
        stream.remote_addr().clone()
    }
}

impl WireIo {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) {
            // Closing with data unsent and no linger makes the system send a reset.
            drop(self.stream.set_zero_linger());
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for WireIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
