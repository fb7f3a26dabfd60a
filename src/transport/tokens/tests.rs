//! Tokens that are taken, and those that are not.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use super::*;

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public part of `pair`, an elliptic curve's key.
fn public(pair: &KeyPair, name: &str) -> Value {
    let point = &pair.der_bytes()[1..];
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": name, "x": text(&point[..32]), "y": text(&point[32..])})
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    since.as_secs()
}

fn claims() -> Value {
    json!({"iss": "https://login", "aud": "lucarne", "sub": "ann", "exp": now() + 600, "scope": "openid lucarne:predict explain"})
}

fn signed(pair: &KeyPair, name: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(name.into());
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    jsonwebtoken::encode(&header, claims, &key).expect("a token")
}

/// The verifier of a set with `pair`, and with a key of a kind that signs nothing.
fn tokens(pair: &KeyPair) -> Tokens {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let strange = json!({"kty": "XYZ", "kid": "strange"});
    std::fs::write(&file, json!({"keys": [strange, public(pair, "a")]}).to_string()).expect("written");
    let issuer = Issuer {
        jwks: file.path().to_string_lossy().into_owned(),
        issuer: "https://login".into(),
        audience: "lucarne".into(),
    };
    Tokens::new(issuer).expect("a set")
}

#[test]
fn a_token_says_who_bears_it_and_what_for() {
    let pair = pair();
    let tokens = tokens(&pair);
    let bearer = |claims: &Value| {
        let token = signed(&pair, "a", claims);
        assert!(Tokens::is_one(token.as_bytes()));
        tokens.verify(token.as_bytes())
    };
    let expected = |scopes: &[Scope]| {
        Ok(Bearer {
            name: "ann".into(),
            scopes: scopes.to_vec(),
        })
    };
    assert_eq!(bearer(&claims()), expected(&[Scope::Predict, Scope::Explain]));
    let mut of_another = claims();
    of_another["scope"] = Value::Null;
    of_another["scp"] = json!(["admin", "lucarne:metrics", "lucarne:everything"]);
    of_another.as_object_mut().expect("claims").remove("scope");
    of_another["aud"] = json!(["other", "lucarne"]);
    assert_eq!(bearer(&of_another), expected(&[Scope::Admin, Scope::Metrics]));
    assert!(!Tokens::is_one(b"a key") && !Tokens::is_one(b"a.b") && !Tokens::is_one(b"a.b.c.d"));
}

#[test]
fn what_is_wrong_with_a_token_is_said_without_it() {
    let (pair, other) = (pair(), pair());
    let tokens = tokens(&pair);
    let with = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = claims();
        claims.as_object_mut().expect("claims").remove(key);
        claims
    };
    let right = signed(&pair, "a", &claims());
    let body = right.split('.').nth(1).expect("a payload");
    let head = |head: Value| text(head.to_string().as_bytes());
    let none = format!("{}.{body}.", head(json!({"alg": "none", "kid": "a"})));
    let mut symmetric = Header::new(Algorithm::HS256);
    symmetric.kid = Some("a".into());
    let secret = EncodingKey::from_secret(pair.der_bytes()).expect("a secret");
    let symmetric = jsonwebtoken::encode(&symmetric, &claims(), &secret).expect("a token");
    let (signed_part, _) = right.rsplit_once('.').expect("a signature");
    for (token, why) in [
        (signed(&other, "a", &claims()), "signature"),
        (format!("{signed_part}.{}", text(&[0; 64])), "signature"),
        (signed(&pair, "b", &claims()), "none of the provider's"),
        (signed(&pair, "a", &with("exp", json!(now() - 60))), "expired"),
        (
            signed(&pair, "a", &with("nbf", json!(now() + 600))),
            "not valid yet",
        ),
        (signed(&pair, "a", &with("aud", json!("other"))), "audience"),
        (signed(&pair, "a", &with("iss", json!("https://other"))), "issuer"),
        (signed(&pair, "a", &without("exp")), "lacks"),
        (signed(&pair, "a", &without("aud")), "lacks"),
        (signed(&pair, "a", &without("iss")), "lacks"),
        (none, "read"),
        (symmetric, "public key"),
        (
            format!("{}.{body}.AAAA", head(json!({"alg": "RS256", "kid": "a"}))),
            "algorithm",
        ),
        ("a.b.c".into(), "read"),
        (format!("{}.b.c", "a".repeat(MOST_BYTES)), "too long"),
    ] {
        let error = tokens.verify(token.as_bytes()).expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(!error.contains(body) && !error.contains("ann"), "{error}");
    }
    assert!(tokens.verify(right.as_bytes()).is_ok());
}

#[test]
fn a_source_of_keys_is_a_file_or_an_address_with_tls() {
    let of = |jwks: &str| {
        Tokens::new(Issuer {
            jwks: jwks.into(),
            issuer: "i".into(),
            audience: "a".into(),
        })
    };
    assert!(of("https://login.example.org/keys").is_ok());
    for wrong in ["http://login.example.org/keys", "ftp://x", "/nowhere/keys.json"] {
        assert!(matches!(of(wrong), Err(Error::InvalidSettings(_))), "{wrong}");
    }
    assert!(
        super::super::jwks::parsed("{}").is_err()
            && super::super::jwks::parsed(r#"{"keys": []}"#).is_err()
            && super::super::jwks::parsed("no").is_err()
    );
}
