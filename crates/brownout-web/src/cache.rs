//! Pages kept ready: each is rendered and compressed at most once per version.
//!
//! The cache is keyed by what a page is about; a newer version takes the place of the older one.
//! Readers who ask for a page while it is being made wait for that one rendering.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderValue;
use bytes::Bytes;
use tokio::sync::OnceCell;

/// Most pages and bytes that are kept. What was not asked for longest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Pages, each with all its encodings.
    pub entries_max: usize,
    /// Bytes of all encodings together.
    pub bytes_max: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        CacheLimits { entries_max: 2_000, bytes_max: 32 << 20 }
    }
}

/// What moved in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers that were ready.
    pub hits: u64,
    /// Pages or encodings that had to be made.
    pub misses: u64,
    /// Pages dropped to stay within the limits; newer versions are not counted here.
    pub evicted: u64,
    /// Pages held now.
    pub entries: u64,
    /// Bytes held now.
    pub bytes: u64,
}

/// What a page is about: everything that tells two pages apart except their version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    /// A number within the kind: a service, an incident, a country.
    pub(crate) entity: u64,
    /// A text within the kind: a search. Short.
    pub(crate) text: Option<Arc<str>>,
    /// Name of the reader's zone; `None` is UTC.
    pub(crate) zone: Option<Arc<str>>,
}

impl Key {
    pub(crate) fn new(kind: Kind, entity: u64) -> Self {
        Key { kind, entity, text: None, zone: None }
    }
}

/// Kinds of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    World,
    Service,
    Incident,
    IncidentAt(u32),
    IncidentJson,
    IncidentMarkdown,
    IncidentCsv,
    Incidents,
    Country,
    About,
    ReportChoose,
    ReportForm,
    ApiStatus,
    ApiServices,
    ApiService,
    ApiIncident,
    ApiCountries,
    ApiCauses,
    OpenApi,
}

/// What a page is made from; two equal versions give the same page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// A snapshot's serial, or a view's version.
    pub(crate) serial: u64,
    /// The minute that pages carry as "as of".
    pub(crate) minute: u32,
    /// How many minutes too old the snapshot is; 0 when it is fresh.
    pub(crate) stale_minutes: u32,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Brotli,
}

impl Encoding {
    /// The best encoding that a reader takes.
    pub(crate) fn accepted(header: Option<&HeaderValue>) -> Self {
        let Some(text) = header.and_then(|value| value.to_str().ok()) else { return Encoding::Identity };
        let takes = |wanted: &str| {
            text.split(',').any(|item| {
                let mut parts = item.split(';');
                let name = parts.next().unwrap_or("").trim();
                let refused = parts
                    .filter_map(|part| part.trim().strip_prefix("q="))
                    .any(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
                name.eq_ignore_ascii_case(wanted) && !refused
            })
        };
        if takes("br") {
            Encoding::Brotli
        } else if takes("gzip") {
            Encoding::Gzip
        } else {
            Encoding::Identity
        }
    }

    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Brotli => Some("br"),
        }
    }
}

/// A body that can be sent as it is.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) body: Bytes,
    pub(crate) etag: HeaderValue,
    pub(crate) encoding: Encoding,
}

impl Ready {
    fn new(body: Bytes, digest: &str, encoding: Encoding) -> Self {
        let suffix = encoding.name().map_or(String::new(), |name| format!("-{name}"));
        let etag = HeaderValue::from_str(&format!("\"{digest}{suffix}\""))
            .unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Ready { body, etag, encoding }
    }
}

/// One version of one page with the encodings that were asked for so far.
#[derive(Debug)]
pub(crate) struct Slot {
    version: Version,
    plain: OnceCell<(Ready, String)>,
    gzip: OnceCell<Ready>,
    brotli: OnceCell<Ready>,
    bytes: AtomicUsize,
    used: AtomicU64,
}

/// The pages that are kept ready.
#[derive(Debug)]
pub(crate) struct Cache {
    limits: CacheLimits,
    slots: RwLock<HashMap<Key, Arc<Slot>>>,
    bytes: Arc<AtomicUsize>,
    uses: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    evicted: AtomicU64,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Cache {
            limits,
            slots: RwLock::default(),
            bytes: Arc::default(),
            uses: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let entries = self.slots.read().unwrap_or_else(PoisonError::into_inner).len();
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            entries: entries as u64,
            bytes: self.bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// The body if it is ready.
    pub(crate) fn hit(&self, key: &Key, version: Version, encoding: Encoding) -> Option<Ready> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(key).filter(|slot| slot.version == version)?;
        let ready = match encoding {
            Encoding::Identity => slot.plain.get().map(|(ready, _)| ready),
            Encoding::Gzip => slot.gzip.get(),
            Encoding::Brotli => slot.brotli.get(),
        }?;
        slot.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(ready.clone())
    }

    /// The body, made by `render` unless somebody is making it already.
    pub(crate) async fn get<E, R, F>(
        &self,
        key: Key,
        version: Version,
        encoding: Encoding,
        render: R,
    ) -> Result<Ready, E>
    where
        R: FnOnce() -> F,
        F: Future<Output = Result<String, E>>,
    {
        if let Some(ready) = self.hit(&key, version, encoding) {
            return Ok(ready);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let slot = self.slot(key, version);
        let (plain, digest) = slot
            .plain
            .get_or_try_init(|| async {
                let body = Bytes::from(render().await?);
                let digest = blake3::hash(&body).to_hex().as_str()[..16].to_owned();
                self.grow(&slot, body.len());
                Ok((Ready::new(body, &digest, Encoding::Identity), digest))
            })
            .await?;
        let packed = match encoding {
            Encoding::Identity => return Ok(plain.clone()),
            Encoding::Gzip => &slot.gzip,
            Encoding::Brotli => &slot.brotli,
        };
        let ready = packed
            .get_or_init(|| async {
                let body = plain.body.clone();
                // Packing a page takes a few milliseconds: too long for a thread that answers others.
                let bytes = tokio::task::spawn_blocking(move || pack(&body, encoding)).await;
                match bytes {
                    Ok(Some(bytes)) => {
                        self.grow(&slot, bytes.len());
                        Ready::new(Bytes::from(bytes), digest, encoding)
                    }
                    _ => plain.clone(),
                }
            })
            .await
            .clone();
        self.evict();
        Ok(ready)
    }

    fn slot(&self, key: Key, version: Version) -> Arc<Slot> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).filter(|slot| slot.version == version) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot {
            version,
            plain: OnceCell::new(),
            gzip: OnceCell::new(),
            brotli: OnceCell::new(),
            bytes: AtomicUsize::new(0),
            used: AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed)),
        });
        slots.insert(key, Arc::clone(&slot));
        drop(slots);
        self.recount();
        self.evict();
        slot
    }

    fn grow(&self, slot: &Slot, bytes: usize) {
        slot.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A replaced page may have grown after it was replaced, so the sum is made anew.
    fn recount(&self) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let sum = slots.values().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum();
        self.bytes.store(sum, Ordering::Relaxed);
    }

    /// Drops the quarter that was not asked for longest when a limit is passed.
    fn evict(&self) {
        let over =
            |entries: usize, bytes: usize| entries > self.limits.entries_max || bytes > self.limits.bytes_max;
        {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            if !over(slots.len(), self.bytes.load(Ordering::Relaxed)) {
                return;
            }
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let before = slots.len();
        let mut used: Vec<u64> = slots.values().map(|slot| slot.used.load(Ordering::Relaxed)).collect();
        used.sort_unstable();
        if let Some(bound) = used.get(before / 4).copied() {
            slots.retain(|_, slot| slot.used.load(Ordering::Relaxed) > bound);
        }
        self.evicted.fetch_add((before - slots.len()) as u64, Ordering::Relaxed);
        drop(slots);
        self.recount();
    }
}

/// Packs a body; `None` when the packer refuses, which writing to memory does not do.
pub(crate) fn pack(body: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Identity => Some(body.to_vec()),
        Encoding::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            packer.write_all(body).ok()?;
            packer.finish().ok()
        }
        Encoding::Brotli => {
            // Quality 5 is where packing still costs little more than sending what it saves.
            let params = brotli::enc::BrotliEncoderParams { quality: 5, lgwin: 20, ..Default::default() };
            let mut out = Vec::new();
            brotli::BrotliCompress(&mut &body[..], &mut out, &params).ok()?;
            Some(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(serial: u64) -> Version {
        Version { serial, minute: 0, stale_minutes: 0 }
    }

    #[tokio::test]
    async fn a_page_is_made_once_per_version() {
        let cache = Cache::new(CacheLimits::default());
        let made = AtomicUsize::new(0);
        let make = || async {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, ()>("page ".repeat(100))
        };
        let key = Key::new(Kind::World, 0);
        let asks = (0..20).map(|_| cache.get(key.clone(), version(1), Encoding::Brotli, make));
        let bodies = futures_util::future::join_all(asks).await;
        assert!(bodies.iter().all(|body| body.as_ref().is_ok_and(|b| b.encoding == Encoding::Brotli)));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        cache.get(key.clone(), version(1), Encoding::Gzip, make).await.expect("a page");
        assert_eq!(made.load(Ordering::Relaxed), 1, "another encoding needs no rendering");
        cache.get(key, version(2), Encoding::Gzip, make).await.expect("a page");
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert_eq!(cache.stats().entries, 1, "the newer version takes the place of the older");
    }

    #[tokio::test]
    async fn the_cache_stays_within_its_limits() {
        let cache = Cache::new(CacheLimits { entries_max: 8, bytes_max: 3_000 });
        for entity in 0..200 {
            let body = || async { Ok::<_, ()>("x".repeat(500)) };
            cache
                .get(Key::new(Kind::Service, entity), version(1), Encoding::Brotli, body)
                .await
                .expect("page");
            let stats = cache.stats();
            assert!(stats.entries <= 8 && stats.bytes <= 3_600, "{stats:?}");
        }
        assert!(cache.stats().evicted > 150);
    }

    #[test]
    fn an_encoding_is_taken_only_when_it_is_accepted() {
        let pick = |text: &str| Encoding::accepted(HeaderValue::from_str(text).ok().as_ref());
        assert_eq!(pick("gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(pick("gzip, br;q=0"), Encoding::Gzip);
        assert_eq!(pick("identity"), Encoding::Identity);
        assert_eq!(Encoding::accepted(None), Encoding::Identity);
    }
}
