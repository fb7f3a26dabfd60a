//! Which settings are right.

use std::ops::RangeInclusive;

use super::{MOST_IMAGES, Settings};
use crate::error::{Error, Result};

impl Settings {
    /// What stands for itself alone: each number, and what it may be.
    fn ranges(&self) -> [(&'static str, u64, RangeInclusive<u64>); 20] {
        const MOST_MB: u64 = 1 << 20;
        const WEEK_S: u64 = 7 * 24 * 3600;
        const MANY: u64 = 1_000_000_000;
        [
            ("load_timeout_s", self.load_timeout_s, 1..=WEEK_S),
            ("max_model_mb", self.max_model_mb, 0..=MOST_MB * 1024),
            ("max_body_mb", self.max_body_mb, 1..=MOST_MB / 2),
            ("max_image_mpx", self.max_image_mpx, 1..=100_000),
            ("max_images", self.max_images as u64, 1..=MOST_IMAGES as u64),
            ("max_maps", self.max_maps as u64, 1..=MANY),
            ("max_passes", self.max_passes as u64, 1..=MANY),
            ("max_connections", self.max_connections as u64, 1..=MANY),
            ("poll_interval_s", self.poll_interval_s, 1..=WEEK_S),
            ("header_timeout_s", self.header_timeout_s, 1..=WEEK_S),
            ("idle_timeout_s", self.idle_timeout_s, 1..=WEEK_S),
            ("body_timeout_s", self.body_timeout_s, 1..=WEEK_S),
            ("stall_timeout_s", self.stall_timeout_s, 1..=WEEK_S),
            ("min_rate_kb", self.min_rate_kb, 1..=MOST_MB),
            ("request_timeout_ms", self.request_timeout_ms, 0..=WEEK_S * 1000),
            (
                "max_request_timeout_ms",
                self.max_request_timeout_ms,
                1..=WEEK_S * 1000,
            ),
            ("max_pass_s", self.max_pass_s, 1..=WEEK_S),
            ("drain_timeout_s", self.drain_timeout_s, 0..=WEEK_S),
            ("decode_threads", self.decode_threads as u64, 0..=1024),
            ("trace_one_in", self.trace_one_in, 1..=MANY),
        ]
    }

    /// # Errors
    /// [`Error::InvalidSettings`], which names the key and what it may be.
    pub(super) fn validate(&self) -> Result<()> {
        for (key, value, within) in self.ranges() {
            if !within.contains(&value) {
                let (least, most) = within.into_inner();
                return Err(Error::InvalidSettings(format!(
                    "{key}: found {value}, expected from {least} to {most}"
                )));
            }
        }
        self.validate_memory()?;
        self.validate_tokens()?;
        self.validate_addresses()
    }

    fn validate_memory(&self) -> Result<()> {
        let twice = self.max_body_mb.saturating_mul(2);
        let memory = [
            (
                "max_inflight_mb",
                self.max_inflight_mb,
                twice,
                "twice max_body_mb",
            ),
            ("max_decode_mb", self.max_decode_mb, 16, "enough for a picture"),
            ("max_answers_mb", self.max_answers_mb, 16, "enough for an answer"),
        ];
        for (key, found, least, why) in memory {
            if !(least..=1 << 20).contains(&found) {
                return Err(Error::InvalidSettings(format!(
                    "{key}: found {found}, expected from {least} ({why}) to 1048576"
                )));
            }
        }
        Ok(())
    }

    fn validate_tokens(&self) -> Result<()> {
        let of_tokens = [&self.jwks, &self.jwt_issuer, &self.jwt_audience];
        if of_tokens.iter().any(|key| key.is_some())
            && !of_tokens
                .iter()
                .all(|key| key.as_ref().is_some_and(|text| !text.is_empty()))
        {
            return Err(Error::InvalidSettings(
                "jwks, jwt_issuer and jwt_audience go together: a token is taken of one issuer, and for one audience".into(),
            ));
        }
        Ok(())
    }

    fn validate_addresses(&self) -> Result<()> {
        for origin in &self.cors_origins {
            if origin != "*" && !origin.contains("://") {
                return Err(Error::InvalidSettings(format!(
                    "cors_origins: found \"{origin}\", expected \"*\" or an origin such as \"https://example.org\""
                )));
            }
        }
        if let Some(endpoint) = &self.otlp_endpoint
            && !["http://", "https://"]
                .iter()
                .any(|scheme| endpoint.starts_with(scheme))
        {
            return Err(Error::InvalidSettings(format!(
                "otlp_endpoint: found \"{endpoint}\", expected an address such as \"http://collector:4318\""
            )));
        }
        Ok(())
    }
}
