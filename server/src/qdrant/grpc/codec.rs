//! Messages as bytes. A field that is not in the proto file, or is there as one that is not
//! supported, is refused by its name: prost alone would pass over it in silence.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};
use vecstore::ErrorKind;

use super::{Answer, Ask};
use crate::grpc::status;
use crate::qdrant::fields::unsupported;
use crate::service::{Kind, Problem, Result};

/// Reads `M`, writes `A`.
pub(super) struct Codec<M, A>(PhantomData<(M, A)>);

impl<M, A> Default for Codec<M, A> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<M: Ask, A: Answer> tonic::codec::Codec for Codec<M, A> {
    type Encode = A;
    type Decode = M;
    type Encoder = Writing<A>;
    type Decoder = Reading<M>;

    fn encoder(&mut self) -> Writing<A> {
        Writing(PhantomData)
    }

    fn decoder(&mut self) -> Reading<M> {
        Reading(PhantomData)
    }
}

pub(super) struct Writing<A>(PhantomData<A>);

impl<A: Answer> Encoder for Writing<A> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, item: A, buffer: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        item.encode(buffer).map_err(|e| Status::internal(format!("write the answer: {e}")))
    }
}

pub(super) struct Reading<M>(PhantomData<M>);

impl<M: Ask> Decoder for Reading<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> std::result::Result<Option<M>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        read::<M>(bytes).map(Some).map_err(|problem| status(&problem))
    }
}

fn read<M: Ask>(bytes: Bytes) -> Result<M> {
    check(&bytes, message_of(M::NAME), &mut Vec::new())?;
    M::decode(bytes).map_err(|e| malformed(&e.to_string()))
}

fn malformed(why: &str) -> Problem {
    let message = format!("the message is not what is expected: {why}");
    Problem::new(Kind::Engine(ErrorKind::InvalidArgument), message)
}

/// What a field has.
enum Content {
    /// Nothing that has fields of its own.
    Plain,
    /// A message, by its place in [`MESSAGES`].
    Message(usize),
    Unsupported,
}

/// A message: its name, and its fields by their numbers, ascending.
type Described = (&'static str, &'static [(u64, &'static str, Content)]);

/// The messages of the proto file.
static MESSAGES: &[Described] = {
    use Content::{Message, Plain, Unsupported};
    include!(concat!(env!("OUT_DIR"), "/qdrant_messages.rs"))
};

fn message_of(name: &str) -> Option<usize> {
    MESSAGES.iter().position(|(of, _)| *of == name)
}

/// Messages within each other that are read; prost has the same limit.
const DEPTH_MAX: usize = 100;

/// Refuses what is not known. `places` are the names of the fields around.
fn check(mut bytes: &[u8], message: Option<usize>, places: &mut Vec<&'static str>) -> Result<()> {
    let Some((name, fields)) = message.and_then(|at| MESSAGES.get(at)) else {
        return Err(Problem::new(Kind::Internal, "a message has no description"));
    };
    if places.len() >= DEPTH_MAX {
        return Err(malformed(&format!("nested deeper than {DEPTH_MAX} levels")));
    }
    while !bytes.is_empty() {
        let (number, content) = next(&mut bytes).ok_or_else(|| malformed("it ends too early"))?;
        let Ok(at) = fields.binary_search_by_key(&number, |(of, ..)| *of) else {
            let place = [places.as_slice(), &["a field"]].concat().join(".");
            let message = format!("{place}: {name} has no field {number} that is known here");
            return Err(Problem::invalid(place, message));
        };
        let (_, field, kind) = &fields[at];
        places.push(field);
        match kind {
            Content::Plain => {}
            Content::Unsupported => return Err(unsupported(&places.join("."))),
            Content::Message(within) => {
                let content = content.ok_or_else(|| malformed(&places.join(".")))?;
                check(content, Some(*within), places)?;
            }
        }
        places.pop();
    }
    Ok(())
}

/// Takes a field: its number, and its bytes if they are counted.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = varint(bytes)?;
    let content = match tag & 7 {
        0 => {
            varint(bytes)?;
            None
        }
        1 => {
            take(bytes, 8)?;
            None
        }
        2 => {
            let length = varint(bytes)?;
            Some(take(bytes, usize::try_from(length).ok()?)?)
        }
        5 => {
            take(bytes, 4)?;
            None
        }
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::proto::{QueryPoints, UpsertPoints};
    use super::*;

    fn refused<M: Ask>(bytes: &[u8]) -> Option<String> {
        read::<M>(Bytes::copy_from_slice(bytes)).err().map(|problem| problem.message)
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_place() {
        let collection = QueryPoints { collection_name: "docs".to_owned(), ..Default::default() };
        assert_eq!(refused::<QueryPoints>(&collection.encode_to_vec()), None);
        // A field that is listed, alone, empty or within others: 2 `prefetch`, 3 `query` with 6
        // `fusion`, 8 `update_mode`.
        let not = |place: &str| {
            Some(format!("`{place}` is not supported by VecStore's Qdrant interface"))
        };
        assert_eq!(refused::<QueryPoints>(&[0x12, 0]), not("prefetch"));
        assert_eq!(refused::<QueryPoints>(&[0x1a, 2, 0x30, 0]), not("query.fusion"));
        assert_eq!(refused::<UpsertPoints>(&[0x40, 1]), not("update_mode"));
        // One that is not.
        for (bytes, place) in
            [(&[0xa0, 6, 1][..], "a field"), (&[0x1a, 3, 0xa0, 6, 1], "query.a field")]
        {
            let message = refused::<QueryPoints>(bytes).unwrap();
            assert!(message.starts_with(place) && message.contains("no field 100"), "{message}");
        }
        // A hint may have anything in it: 12 `read_consistency`.
        assert_eq!(refused::<QueryPoints>(&[0x62, 2, 0x08, 1]), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            &[0x0a][..],
            &[0x0a, 5, b'a'],
            &[0x0b],
            &[0xff; 11],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x18, 1],
            &[0x0a, 1, 0xff],
        ] {
            let message = refused::<QueryPoints>(bytes).unwrap();
            assert!(message.contains("is not what is expected"), "{bytes:?}: {message}");
        }
        // 5 `filter`, 2 `must`, 4 `filter`, …
        let deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, level| {
            let tag = if level % 2 == 0 { 0x22 } else { 0x12 };
            let mut outer = vec![tag];
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            outer.extend(inner);
            outer
        });
        let mut bytes = vec![0x2a];
        prost::encode_length_delimiter(deep.len(), &mut bytes).unwrap();
        bytes.extend(deep);
        let message = refused::<QueryPoints>(&bytes).unwrap();
        assert!(message.contains("nested deeper than 100"), "{message}");
    }
}
