//! Requests to plain http servers through a proxy.
//!
//! A proxy of plain http gets the request itself, with the server's whole address
//! in its first line (RFC 9112, section 3.2.2). `ureq` would ask it for a tunnel,
//! as for https, which proxies mostly refuse to ports other than 443. So the
//! request goes to the proxy as if that were the server, and its first line is
//! completed on the way out.

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Completes the first line of each connection's request; connections must not
/// be used twice.
#[derive(Debug)]
pub(crate) struct WholeAddress {
    /// `http://host:port` of the server.
    pub(crate) origin: String,
}

impl<In: Transport> Connector<In> for WholeAddress {
    type Out = Completing<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let origin = self.origin.clone().into_bytes();
        Ok(chained.map(|inner| Completing { inner, origin }))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
pub(crate) struct Completing<T> {
    inner: T,
    /// What the path of the request is put behind; empty once it is.
    origin: Vec<u8>,
}

impl<T: Transport> Transport for Completing<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let origin = std::mem::take(&mut self.origin);
        if origin.is_empty() {
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        let path = output[..amount].iter().position(|&byte| byte == b'/');
        let (Some(path), true) = (path, amount + origin.len() <= output.len()) else {
            return Err(Error::Other("the head of a request is too long".into()));
        };
        output.copy_within(path..amount, path + origin.len());
        output[path..path + origin.len()].copy_from_slice(&origin);
        self.inner.transmit_output(amount + origin.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
