//! One file a specification; each test names the section it holds to.

mod rfc7247;
mod rfc7622;
mod xml;
mod xml_differential;
mod xml_laws;
mod xml_oracle;
mod xml_samples;
