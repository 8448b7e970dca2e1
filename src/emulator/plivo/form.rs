//! The files of an upload: `multipart/form-data`, read strictly. What follows its end is not read.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;

use super::super::record::Content;
use super::types;
use crate::domain::asset::ContentHash;

/// What an upload's body turned out to be.
#[derive(Debug)]
pub(in super::super) enum Form {
    /// Its files, in their order; no more than [`FILES_MAX`] are looked at.
    Files(Vec<File>),
    /// No multipart form, or a broken one.
    Malformed,
}

/// A part named `file` that has a file name.
#[derive(Debug)]
pub(in super::super) struct File {
    pub(super) name: String,
    pub(super) content: Content,
}

/// Far more than any limit on files in one upload.
const FILES_MAX: usize = 100;

impl Form {
    pub(in super::super) async fn read(head: &Parts, body: Bytes) -> Self {
        Self::files(head, body).await.map_or(Self::Malformed, Self::Files)
    }

    async fn files(head: &Parts, body: Bytes) -> Option<Vec<File>> {
        let mut request = Request::new(Body::from(body));
        request.headers_mut().insert(CONTENT_TYPE, head.headers.get(CONTENT_TYPE)?.clone());
        // The body's size was limited when it was read.
        DefaultBodyLimit::disable().apply(&mut request);
        let mut form = Multipart::from_request(request, &()).await.ok()?;
        let mut files = Vec::new();
        while let Some(field) = form.next_field().await.ok()? {
            let is_file = field.name() == Some("file");
            let Some(name) = field.file_name().filter(|_| is_file).map(str::to_owned) else { continue };
            let declared = field.content_type().map(str::to_owned);
            let bytes = field.bytes().await.ok()?;
            if files.len() < FILES_MAX {
                files.push(File::new(name, declared.as_deref(), &bytes));
            }
        }
        Some(files)
    }
}

impl File {
    fn new(name: String, declared: Option<&str>, bytes: &[u8]) -> Self {
        let mime = types::resolve(declared, &name);
        // A copy: the bytes are a piece of the whole body, which must not live as long as they do.
        let content = Content { bytes: Bytes::copy_from_slice(bytes), hash: ContentHash::of(bytes), mime };
        Self { name, content }
    }
}
