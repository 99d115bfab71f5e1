//! One file a specification; each test names the section it holds to.

mod differential_sip;
mod rfc2782;
mod rfc3261_17;
mod rfc4475;
mod rfc4475_facts;
mod rfc4475_reading;
mod rfc5118;
mod rfc5280;
mod rfc5922;
mod rfc6120;
mod rfc6120_addresses;
mod rfc6120_carrying;
mod rfc6120_laws;
mod rfc7247;
mod rfc7572;
mod rfc7622;
mod rfc9525;
mod rfc9525_pki;
mod streams;
mod xep0114;
mod xep0220;
mod xml;
mod xml_differential;
mod xml_laws;
mod xml_oracle;
mod xml_samples;
