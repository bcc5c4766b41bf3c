//! A signed token that is checked before the limiter sees a request, as apps with JSON Web Tokens (ES256) do: then turning a
//! request away costs more than its answer.

use anyhow::{Result, anyhow};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::MethodRouter,
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, Signature, UnparsedPublicKey,
    },
};

/// As long as a usual header and payload.
const TOKEN: &[u8; 220] = &[b'e'; 220];

/// The same token comes with each request, and is checked each time.
#[derive(Clone)]
struct Signed {
    key: UnparsedPublicKey<Vec<u8>>,
    signature: Signature,
}

/// The route behind a check of the token.
pub(super) fn checked<S: Clone + Send + Sync + 'static>(work: MethodRouter<S>) -> Result<MethodRouter<S>> {
    let random = SystemRandom::new();
    let failed = |error: ring::error::Unspecified| anyhow!("cannot sign: {error}");
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
        .map_err(|error| anyhow!("cannot sign: {error}"))?;
    let signed = Signed {
        key: UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec()),
        signature: pair.sign(&random, TOKEN).map_err(failed)?,
    };
    Ok(work.layer(middleware::from_fn_with_state(signed, check)))
}

async fn check(State(signed): State<Signed>, request: Request, next: Next) -> Result<Response, StatusCode> {
    signed.key.verify(TOKEN, signed.signature.as_ref()).map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok(next.run(request).await)
}
