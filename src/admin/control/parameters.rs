//! The query part of a request: `name=value&...`, each name once and known.

use crate::interwork::percent;

/// See [`Parameters::read`].
pub(super) struct Parameters;

/// Why a query is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParameterError {
    #[error("the query holds a parameter that is not known here, or no value")]
    Unknown,
    #[error("{0} is given twice")]
    Twice(&'static str),
    #[error("{0} holds a broken escape")]
    Escape(&'static str),
}

impl Parameters {
    /// The values of these names, decoded; `None` for one that is not given.
    pub(super) fn read<const N: usize>(
        query: &str,
        names: [&'static str; N],
    ) -> Result<[Option<String>; N], ParameterError> {
        let mut values = [const { None }; N];
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(ParameterError::Unknown)?;
            let (known, slot) = names
                .iter()
                .zip(&mut values)
                .find(|(known, _)| **known == name)
                .ok_or(ParameterError::Unknown)?;
            let value = percent::decode(value).ok_or(ParameterError::Escape(known))?;
            if slot.replace(value.into_owned()).is_some() {
                return Err(ParameterError::Twice(known));
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_known_and_stands_once() {
        let read = |query| Parameters::read(query, ["of", "most"]);
        let some = |text: &str| Some(text.to_owned());
        for (query, read_as) in [
            ("", Ok([None, None])),
            ("most=3", Ok([None, some("3")])),
            ("of=a%40b%20&most=", Ok([some("a@b "), some("")])),
            ("of", Err(ParameterError::Unknown)),
            ("to=x", Err(ParameterError::Unknown)),
            ("of=a&of=a", Err(ParameterError::Twice("of"))),
            ("of=%zz", Err(ParameterError::Escape("of"))),
            ("of=%ff", Err(ParameterError::Escape("of"))),
        ] {
            assert_eq!(read(query), read_as, "{query}");
        }
    }
}
