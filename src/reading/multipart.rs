//! The parts of a multipart body: files, and parameters as text or as JSON.
//!
//! Libraries disagree on how they write a text: without a type (browsers, curl), as `text/plain` with a charset (.NET, Apache
//! HttpClient), as `application/json` (Spring). A part that has a file name, or another type, is a file.

use bytes::Bytes;
use multer::Field;

use super::bounded;
use super::parameters::{MOST_PARAMETERS, MOST_TEXT, Parameters};
use crate::config::MOST_IMAGES;
use crate::error::{Error, Result, excerpt};
use crate::transport::Received;

/// Bytes of JSON in one part at most.
const MOST_JSON: usize = MOST_PARAMETERS * MOST_TEXT;

/// What a part is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File,
    Text,
    Json,
}

/// A file of a multipart body.
#[derive(Debug)]
pub struct Part {
    /// The name of its field.
    pub name: String,
    /// What its client says that it is.
    pub content_type: String,
    /// What it holds.
    pub bytes: Bytes,
    /// Whether it came as a text, which stands for a file in base64.
    pub is_text: bool,
}

/// The files of a multipart body, one more than the most images; its other parts are added to `parameters`.
///
/// # Errors
/// [`Error::InvalidBody`], [`Error::InvalidParameter`].
pub async fn read(received: &Received, parameters: &mut Parameters) -> Result<Vec<Part>> {
    read_with(received, parameters, &[]).await
}

/// [`read`], where texts by these names are files as well.
///
/// # Errors
/// As [`read`].
pub async fn read_with(
    received: &Received,
    parameters: &mut Parameters,
    texts: &[&str],
) -> Result<Vec<Part>> {
    let boundary = multer::parse_boundary(&received.content_type).map_err(|e| wrong(&e))?;
    let body = futures_util::stream::once(std::future::ready(Ok::<_, std::io::Error>(
        received.bytes.clone(),
    )));
    let mut multipart = multer::Multipart::new(body, boundary);
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|e| wrong(&e))? {
        let name = name(&field);
        refuse_encoded(&field, &name)?;
        let kind = kind(&field);
        let is_text = kind == Kind::Text && texts.contains(&name.as_str());
        match if is_text { Kind::File } else { kind } {
            Kind::File if files.len() > MOST_IMAGES => {
                return Err(Error::InvalidBody(format!("more than {MOST_IMAGES} files")));
            }
            Kind::File => files.push(Part {
                name,
                content_type: field.content_type().map(ToString::to_string).unwrap_or_default(),
                bytes: received.own(field.bytes().await.map_err(|e| wrong(&e))?.into())?,
                is_text,
            }),
            Kind::Text => parameters.add(name, field.text().await.map_err(|e| wrong(&e))?)?,
            Kind::Json => {
                let json = field.bytes().await.map_err(|e| wrong(&e))?;
                if json.len() > MOST_JSON {
                    let found = json.len();
                    let text = format!("found {found} bytes of JSON, expected at most {MOST_JSON}");
                    return Err(Error::parameter(excerpt(&name), text));
                }
                parameters.extend(bounded::parameters_of_part(name, &json)?)?;
            }
        }
        // A body of many small parts must not keep the thread from others.
        tokio::task::consume_budget().await;
    }
    Ok(files)
}

fn wrong(error: &multer::Error) -> Error {
    Error::InvalidBody(error.to_string())
}

fn kind(field: &Field<'_>) -> Kind {
    if field.file_name().is_some() || extended(field, "filename").is_some() {
        return Kind::File;
    }
    let Some(content_type) = field.content_type() else {
        return Kind::Text;
    };
    match (content_type.type_().as_str(), content_type.subtype().as_str()) {
        ("text", "plain") => Kind::Text,
        ("application", "json") => Kind::Json,
        _ => Kind::File,
    }
}

fn name(field: &Field<'_>) -> String {
    let plain = field.name().map(str::to_owned);
    plain.or_else(|| extended(field, "name")).unwrap_or_default()
}

/// An attribute of the part as RFC 5987 has it: `name*=utf-8''top_k`.
fn extended(field: &Field<'_>, attribute: &str) -> Option<String> {
    let disposition = field.headers().get("content-disposition")?.to_str().ok()?;
    let value = disposition.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_meant = name.trim().strip_suffix('*')?.eq_ignore_ascii_case(attribute);
        is_meant.then_some(value.trim())
    })?;
    let text = value.rsplit('\'').next().unwrap_or(value);
    Some(text.to_owned())
}

/// A part whose bytes stand for others (RFC 7578, section 4.7, has done away with them).
fn refuse_encoded(field: &Field<'_>, name: &str) -> Result<()> {
    let encoding = field.headers().get("content-transfer-encoding");
    let encoding = encoding
        .and_then(|encoding| encoding.to_str().ok())
        .unwrap_or_default();
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "binary" | "8bit" | "7bit" => Ok(()),
        other => Err(Error::InvalidBody(format!(
            "part `{}` has the content-transfer-encoding `{}`; send its bytes as they are",
            excerpt(name),
            excerpt(other)
        ))),
    }
}
