//! The names that each style gives to a format's fields.

use elbow_guest::{Field, JsonType, json};

use crate::client;
use crate::settings::{Settings, Style};
use crate::source::Source;
use crate::table::Table;
use crate::values::Slot;

/// A field with the name that a style gives it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its name; of a nested field, also those of the objects around it.
    pub path: Vec<String>,
    /// Where its value comes from.
    pub source: Source,
    /// What it means.
    pub meaning: String,
}

impl Named {
    /// A field at the top level.
    pub fn top(name: impl Into<String>, source: Source, meaning: impl Into<String>) -> Self {
        Self { path: vec![name.into()], source, meaning: meaning.into() }
    }

    /// A field whose nesting is written with dots.
    pub fn nested(path: &str, source: Source, meaning: impl Into<String>) -> Self {
        Self { path: path.split('.').map(str::to_owned).collect(), source, meaning: meaning.into() }
    }

    /// The name, its nesting written with dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// In a record of JSON, what is not known is members rather than columns: a list of them.
    pub fn take_members(&mut self) {
        if let Source::Columns(slot) = self.source {
            self.source = Source::Members(slot, JsonType::Array);
        }
    }

    /// What events promise of it.
    pub fn promise(&self) -> Field {
        Field::new(self.name(), self.source.json_type(), &self.meaning)
    }
}

/// What the original ELB logs processor took from a line.
pub struct Original {
    /// When it was logged.
    pub time: Slot,
    /// The load balancer.
    pub elb: Slot,
    /// `address:port` of the client.
    pub client: Slot,
    /// `address:port` of the backend.
    pub backend: Slot,
    /// Times to forward the request, to answer it, to forward the response, in seconds.
    pub times: [Slot; 3],
    /// What the load balancer answered, and what the backend did.
    pub statuses: [Slot; 2],
    /// Bytes from the client, and to it.
    pub bytes: [Slot; 2],
    /// User agent.
    pub user_agent: Slot,
}

const MESSAGE: &str = "the line as it was";

const RAW: &str = "the line as it was, in base64";

/// The fields of a format, as a style names them. `object` is the bucket and the key of what is read.
pub fn named(table: &Table, settings: &Settings, object: Option<(&str, &str)>) -> Vec<Named> {
    match (settings.style, &table.original) {
        (Style::Flat, _) => flat(table, settings),
        (Style::ElbProcessor, Some(original)) => elb_processor(original, settings, object),
        (Style::Ecs | Style::ElbProcessor, _) => ecs(table, settings),
    }
}

fn flat(table: &Table, settings: &Settings) -> Vec<Named> {
    let mut named: Vec<Named> = table
        .fields
        .iter()
        .filter(|field| !field.flat.is_empty())
        .map(|field| Named::top(field.flat, field.source.clone(), field.meaning))
        .collect();
    named.extend(client::fields(table, settings, &named));
    if settings.keep_message {
        named.push(Named::top("message", Source::Raw(Slot::LINE), MESSAGE));
    }
    if settings.keep_raw {
        named.push(Named::top("raw", Source::Base64(Slot::LINE), RAW));
    }
    named
}

fn ecs(table: &Table, settings: &Settings) -> Vec<Named> {
    let constant =
        |path: &str, json: &str, meaning: &str| Named::nested(path, Source::Constant(json.to_owned().into()), meaning);
    let fields = table.fields.iter();
    let mut named: Vec<Named> = fields
        .flat_map(|field| field.ecs.iter().map(|path| Named::nested(path, field.source.clone(), field.meaning)))
        .collect();
    named.extend(client::fields(table, settings, &named));
    named.push(constant("event.kind", "\"event\"", "always `event`"));
    let category = format!("[\"{}\"]", table.category);
    named.push(constant("event.category", &category, &format!("always `{}`", table.category)));
    named.push(constant("cloud.provider", "\"aws\"", "always `aws`"));
    named.push(constant("ecs.version", "\"8.11.0\"", "the version of ECS that the names are from"));
    if settings.keep_message {
        named.push(Named::nested("event.original", Source::Raw(Slot::LINE), MESSAGE));
    }
    if settings.keep_raw {
        let path = format!("{}.raw", table.ecs_prefix);
        named.push(Named::nested(&path, Source::Base64(Slot::LINE), RAW));
    }
    named
}

/// The original ELB logs processor knew one set of names, whatever the load balancer.
fn elb_processor(original: &Original, settings: &Settings, object: Option<(&str, &str)>) -> Vec<Named> {
    let text = |text: &str| {
        let mut json = Vec::new();
        json::string(&mut json, text.as_bytes());
        Source::Constant(String::from_utf8_lossy(&json).into_owned().into())
    };
    let mut named = vec![
        Named::top("@timestamp", Source::Time(original.time), "when the line was logged"),
        Named::top("LoadBalancerName", Source::Text(original.elb), "name of the load balancer"),
        Named::top("PublicIpAndPort", Source::Text(original.client), "client's address and port"),
        Named::top("InternalIpAndPort", Source::Text(original.backend), "backend's address and port"),
        Named::top("Status", Source::Digits(original.statuses[0]), "status that the load balancer answered"),
        Named::top("BackendStatus", Source::Digits(original.statuses[1]), "status that the backend answered"),
        Named::top("BytesUploadedFromClient", Source::Number(original.bytes[0]), "bytes"),
        Named::top("BytesDownloadedByClient", Source::Number(original.bytes[1]), "bytes"),
    ];
    for (name, setting, default) in [
        ("Component", &settings.component, None),
        ("SourceModuleName", &settings.source_module_name, Some("ELB")),
        ("Environment", &settings.environment, None),
        ("Application", &settings.application, None),
        ("type", &settings.event_type, Some("logs")),
    ] {
        if let Some(value) = setting.as_deref().or(default) {
            named.push(Named::top(name, text(value), "from the settings"));
        }
    }
    named.extend([
        Named::top("UserAgent", Source::Text(original.user_agent), "user agent, without quotes"),
        Named::top("message", Source::Raw(Slot::LINE), MESSAGE),
        Named::top("Verb", Source::Text(Slot::METHOD), "HTTP method"),
        Named::top("Path", Source::Text(Slot::PATH), "path of the URL"),
    ]);
    // What events promise is asked for before there is an object.
    let (bucket, key) = object.map_or((Some(""), Some("")), |(bucket, key)| (Some(bucket), Some(key)));
    let is_in_s3 = object.is_none_or(|(bucket, _)| !bucket.is_empty());
    if is_in_s3 {
        named.push(Named::nested("Source.S3.Bucket", text(bucket.unwrap_or_default()), "bucket of the log object"));
        named.push(Named::nested("Source.S3.Key", text(key.unwrap_or_default()), "key of the log object"));
    }
    named.extend([
        Named::top("TimeToForwardRequest", Source::Milliseconds(original.times[0]), "ms"),
        Named::top("TimeTaken", Source::Milliseconds(original.times[1]), "ms"),
        Named::top("TimeToForwardResponse", Source::Milliseconds(original.times[2]), "ms"),
    ]);
    if settings.keep_raw {
        named.push(Named::top("raw", Source::Base64(Slot::LINE), RAW));
    }
    named
}
