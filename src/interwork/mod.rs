//! Interworking: what is said on one side, said on the other.
//!
//! Values in, values out: nothing here waits, stores or sends. Tables that must be kept between messages (digested
//! resources, phone contexts, conversations) belong to the gateway floor, which calls these functions.
//!
//! Sources: RFC 7247 (addresses, errors), RFC 7572 (single messages), XEP-0106 (JID escaping), RFC 3428 (MESSAGE),
//! RFC 7573 §6 and §7 (composing, receipts).
//!
//! Reading order: [`escape`] and [`address`] say who, [`message`] says what, [`error`] says why not, [`profile`] holds
//! the numbers by which kinds of peers differ. For conversations [`invitation`] says what is asked for, [`embedded`] what
//! was said with it, [`carried`] what a request in it is: words, [`composing`], or a [`receipt`]. [`passage`] keeps what goes in circles from going on.

pub mod address;
pub mod carried;
pub mod composing;
pub mod embedded;
pub mod error;
pub mod escape;
pub mod invitation;
pub mod message;
pub mod passage;
pub mod percent;
pub mod presence;
pub mod profile;
pub mod receipt;

#[cfg(test)]
mod tests;
