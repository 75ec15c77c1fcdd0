//! New records by binary `COPY`, the cheapest way into a table.

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{Incoming, jsonb::JSONB_VERSION};
use crate::ResourceName;

/// Bytes gathered before they are sent.
const CHUNK_BYTES: usize = 256 * 1024;

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Copies `records`, none of which may exist, and their changes.
///
/// # Errors
///
/// As PostgreSQL says; `23505` when one of them exists after all. The transaction is then void.
pub(super) async fn copy_new(
    tx: &mut PgConnection,
    resource: &ResourceName,
    instance: &str,
    run: Option<i64>,
    records: &[&Incoming],
) -> Result<(), sqlx::Error> {
    let changed_at = Timestamp::now();
    let statement = format!(
        "COPY {} (resource, instance, id, body, hash, version, upstream_at, asked_at, changed_at, run) \
         FROM STDIN (FORMAT binary)",
        resource.sql()
    );
    let mut copy = tx.copy_in_raw(&statement).await?;
    let mut rows = Rows::new();
    for record in records {
        rows.begin(10);
        rows.text(resource.as_str());
        rows.text(instance);
        rows.text(&record.id);
        rows.jsonb(&record.body);
        rows.bytes(&record.hash);
        rows.integer(Some(1));
        rows.timestamp(record.upstream_at);
        rows.timestamp(Some(record.asked_at));
        rows.timestamp(Some(changed_at));
        rows.integer(run);
        if rows.buffer.len() >= CHUNK_BYTES {
            copy.send(rows.take()).await?;
        }
    }
    copy.send(rows.end()).await?;
    copy.finish().await?;

    let mut copy = tx
        .copy_in_raw(
            "COPY millpond.change (op, resource, instance, id, version) FROM STDIN (FORMAT binary)",
        )
        .await?;
    let mut rows = Rows::new();
    for record in records {
        rows.begin(5);
        rows.bytes(b"i");
        rows.text(resource.as_str());
        rows.text(instance);
        rows.text(&record.id);
        rows.integer(Some(1));
        if rows.buffer.len() >= CHUNK_BYTES {
            copy.send(rows.take()).await?;
        }
    }
    copy.send(rows.end()).await?;
    copy.finish().await?;
    Ok(())
}

/// Rows in PostgreSQL's binary `COPY` format.
struct Rows {
    buffer: BytesMut,
}

impl Rows {
    fn new() -> Self {
        let mut buffer = BytesMut::with_capacity(CHUNK_BYTES + 64 * 1024);
        buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
        buffer.put_i32(0);
        buffer.put_i32(0);
        Self { buffer }
    }

    fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn end(mut self) -> Bytes {
        self.buffer.put_i16(-1);
        self.buffer.freeze()
    }

    fn begin(&mut self, columns: i16) {
        self.buffer.put_i16(columns);
    }

    fn bytes(&mut self, value: &[u8]) {
        // A body is bounded far below 2 GiB by whoever read it.
        self.buffer
            .put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.buffer.put_slice(value);
    }

    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    fn jsonb(&mut self, value: &[u8]) {
        self.buffer
            .put_i32(i32::try_from(value.len() + 1).unwrap_or(i32::MAX));
        self.buffer.put_u8(JSONB_VERSION);
        self.buffer.put_slice(value);
    }

    fn integer(&mut self, value: Option<i64>) {
        match value {
            Some(value) => {
                self.buffer.put_i32(8);
                self.buffer.put_i64(value);
            }
            None => self.buffer.put_i32(-1),
        }
    }

    fn timestamp(&mut self, value: Option<Timestamp>) {
        self.integer(value.map(|at| at.as_microsecond() - EPOCH_MICROS));
    }
}
