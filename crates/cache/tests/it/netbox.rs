//! A bad network between the cache and its store: passes bytes on, until told to do something else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

#[derive(Debug, Clone, PartialEq)]
pub enum Weather {
    /// Passes everything on.
    Fair,
    /// Accepts nothing: connections are closed at once, old ones too.
    Refuse,
    /// Swallows every byte, in both directions, and answers nothing.
    BlackHole,
    /// Hands every chunk on only after this long.
    Slow(Duration),
    /// Answers every request with these bytes.
    Answer(&'static [u8]),
    /// Hands on only this many bytes of answers, and then nothing.
    Stall(u64),
}

pub struct Netbox {
    address: String,
    weather: watch::Sender<Weather>,
    /// Bytes that the cache sent, whatever became of them.
    sent: Arc<AtomicU64>,
    /// How often the cache spoke after the store had: the round trips.
    rounds: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Netbox {
    pub async fn before(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (weather, watching) = watch::channel(Weather::Fair);
        let sent = Arc::new(AtomicU64::new(0));
        let rounds = Arc::new(AtomicU64::new(0));
        let counting = (sent.clone(), rounds.clone());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(
                    client,
                    socket.clone(),
                    watching.clone(),
                    counting.clone(),
                ));
            }
        });
        Self {
            address,
            weather,
            sent,
            rounds,
            task: task.abort_handle(),
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(SeqCst)
    }

    pub fn rounds(&self) -> u64 {
        self.rounds.load(SeqCst)
    }
}

impl Drop for Netbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    socket: PathBuf,
    mut weather: watch::Receiver<Weather>,
    (sent, rounds): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    if *weather.borrow() == Weather::Refuse {
        return;
    }
    let Ok(mut server) = UnixStream::connect(socket).await else {
        return;
    };
    let (mut up, mut down) = ([0; 16384], [0; 16384]);
    let (mut passed, mut listening) = (0, true);
    loop {
        // The borrow of a watch must not live across an await.
        tokio::select! {
            changed = weather.changed() => {
                if changed.is_err() || *weather.borrow() == Weather::Refuse {
                    return;
                }
            }
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                sent.fetch_add(length as u64, SeqCst);
                if std::mem::take(&mut listening) {
                    rounds.fetch_add(1, SeqCst);
                }
                let now = weather.borrow().clone();
                match now {
                    Weather::BlackHole | Weather::Refuse => {}
                    Weather::Answer(bytes) => {
                        if client.write_all(bytes).await.is_err() { return }
                    }
                    Weather::Slow(by) => {
                        tokio::time::sleep(by).await; // the slow network
                        if server.write_all(&up[..length]).await.is_err() { return }
                    }
                    Weather::Fair | Weather::Stall(_) => {
                        if server.write_all(&up[..length]).await.is_err() { return }
                    }
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                let now = weather.borrow().clone();
                let length = match now {
                    Weather::BlackHole | Weather::Answer(_) => 0,
                    Weather::Stall(bytes) => length.min(bytes.saturating_sub(passed) as usize),
                    _ => length,
                };
                passed += length as u64;
                listening = true;
                if client.write_all(&down[..length]).await.is_err() { return }
            }
        }
    }
}
