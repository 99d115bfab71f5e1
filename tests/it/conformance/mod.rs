//! One file a specification; each test names the section it holds to.

mod rfc7622;
