//! The style sheet, the script and the icon: few, small, ours, and named by their content.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::cache::{Encoding, pack};

/// A file that never changes under its name.
#[derive(Debug)]
pub(crate) struct Asset {
    /// File name with the digest of the content.
    pub(crate) name: String,
    content_type: &'static str,
    pub(crate) plain: Bytes,
    gzip: Bytes,
    brotli: Bytes,
}

impl Asset {
    fn new(stem: &str, extension: &str, content_type: &'static str, text: impl Into<Bytes>) -> Self {
        let text: Bytes = text.into();
        let digest = blake3::hash(&text).to_hex();
        let packed = |encoding| pack(&text, encoding).map_or_else(Bytes::new, Bytes::from);
        Asset {
            name: format!("{stem}-{}.{extension}", &digest.as_str()[..10]),
            content_type,
            gzip: packed(Encoding::Gzip),
            brotli: packed(Encoding::Brotli),
            plain: text,
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let encoding = Encoding::accepted(headers.get(header::ACCEPT_ENCODING));
        let body = match encoding {
            Encoding::Identity => &self.plain,
            Encoding::Gzip => &self.gzip,
            Encoding::Brotli => &self.brotli,
        };
        let mut response = body.clone().into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(name) = encoding.name() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        response
    }
}

/// All files.
pub(crate) struct Assets {
    pub(crate) style: Asset,
    pub(crate) script: Asset,
    pub(crate) icon: Asset,
    /// The world map without colours.
    pub(crate) map: Asset,
}

/// Made once per process.
pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
    script: Asset::new("live", "js", "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
    icon: Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    map: Asset::new("world", "svg", "image/svg+xml", crate::map::base()),
});

/// Answers a request for a file.
pub(crate) fn serve(name: &str, headers: &HeaderMap) -> Response {
    let assets = &*ASSETS;
    match [&assets.style, &assets.script, &assets.icon, &assets.map]
        .into_iter()
        .find(|asset| asset.name == name)
    {
        Some(asset) => asset.answer(headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_within_their_budgets() {
        assert!(ASSETS.style.brotli.len() < 8 * 1024, "{}", ASSETS.style.brotli.len());
        assert!(ASSETS.script.plain.len() < 10 * 1024, "{}", ASSETS.script.plain.len());
        assert!(ASSETS.script.brotli.len() < 60 * 1024);
    }

    #[test]
    fn a_file_is_found_by_its_whole_name_only() {
        assert_eq!(serve(&ASSETS.style.name, &HeaderMap::new()).status(), StatusCode::OK);
        for name in ["style.css", "", "../Cargo.toml", "live-0000000000.js"] {
            assert_eq!(serve(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
