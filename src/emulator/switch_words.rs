//! The values of switches that are words.

use serde::{Deserialize, Serialize};

/// Declares an enumeration whose variants are words in JSON.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant),+ }
    };
}

words!(
    /// When a media is removed.
    Removal {
        /// At the end of its retention.
        Exact,
        /// At the last sweep before that end: "up to" so many hours.
        SweepEarly,
        /// At the first sweep after that end: "every" so many hours.
        SweepLate,
    }
);
words!(
    /// What a body over the limit gets.
    Oversize {
        /// 413.
        ContentTooLarge,
        /// 400.
        BadRequest,
        /// The connection is reset in the middle of the body.
        Reset,
    }
);
words!(
    /// What HEAD does.
    Head {
        /// 405.
        MethodNotAllowed,
        /// What GET does, without the body.
        Mirror,
    }
);
words!(
    /// The Content-Type of a download.
    DownloadType {
        /// What the upload said: so the provider's own tests expect it.
        Stored,
        /// `application/octet-stream`: so the OpenAPI file says it.
        OctetStream,
    }
);
words!(
    /// The body of Bandwidth's 404 for a media.
    BandwidthNotFound {
        /// `{type, description}`.
        Api,
        /// `{timestamp, status, error, message, path}`.
        Servlet,
        /// Nothing.
        Empty,
    }
);
words!(
    /// The body of Bandwidth's 401.
    BandwidthUnauthorized {
        /// `{type, description}`.
        Json,
        /// Nothing.
        Empty,
    }
);
words!(
    /// The types that Plivo takes; its three published lists differ.
    PlivoTypes {
        /// Every type that one of the lists or an official client names.
        Known,
        /// The list of the API's documentation: JPG, PNG, MP4, GIF, PDF, text.
        Documented,
        /// All types.
        Any,
    }
);
words!(
    /// How an upload fails where one of its files is refused.
    Refusal {
        /// The file's object says so, within a success.
        PerObject,
        /// The whole upload fails and nothing is stored.
        WholeRequest,
    }
);
words!(
    /// The order of the objects in the reply to an upload.
    ObjectOrder {
        /// As they were sent.
        Upload,
        /// Another one: the last first.
        Shuffled,
    }
);
words!(
    /// The name of the field that holds a media's URL.
    UrlField {
        /// `media_url`, as documented.
        MediaUrl,
        /// `url`, as in 2020.
        Url,
    }
);
words!(
    /// The order of the list.
    ListOrder {
        /// As in the published samples.
        OldestFirst,
        /// As other lists of the API.
        NewestFirst,
    }
);
words!(
    /// What `meta.next` and `meta.previous` hold.
    PagingLinks {
        /// A path without a host; null where there is no such page.
        Relative,
        /// Always null.
        Null,
        /// The fields are not there.
        Absent,
        /// An absolute URL at another host, on every page.
        Hostile,
    }
);
words!(
    /// The body of Plivo's 404.
    PlivoNotFound {
        /// `{api_id, error}`.
        Error,
        /// `{}`.
        EmptyObject,
        /// Plain text.
        Text,
    }
);
words!(
    /// The body of Plivo's 401.
    PlivoUnauthorized {
        /// `{api_id, error}`.
        WithApiId,
        /// `{error}`.
        WithoutApiId,
    }
);
words!(
    /// How a 429 says when to come back.
    RateHeader {
        /// Not at all.
        None,
        /// `Retry-After` in seconds.
        RetryAfter,
        /// `X-RateLimit-Reset`: seconds since 1970.
        ResetSeconds,
        /// `X-RateLimit-Reset`: milliseconds since 1970.
        ResetMilliseconds,
    }
);
