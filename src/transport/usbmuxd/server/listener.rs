//! Sockets to listen on: unix with a guarded file, or TCP.

use super::super::MuxAddress;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A listening socket. Dropping it removes its file, if that is still the one it made.
#[derive(Debug)]
pub struct BoundListener {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Unix { listener: UnixListener, path: PathBuf, inode: u64, removed: AtomicBool },
    Tcp(TcpListener),
}

impl BoundListener {
    /// Listens. A unix socket is made in a private folder beside its place and renamed into it
    /// with its mode set, so nobody can connect before the mode holds. A socket file that is there is
    /// replaced only if nobody answers at it; any other file is left alone.
    ///
    /// # Errors
    /// The system's, and `AddrInUse` if the place is taken.
    pub async fn bind(address: &MuxAddress, mode: u32) -> io::Result<Self> {
        let path = match address {
            MuxAddress::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await?;
                return Ok(Self { kind: Kind::Tcp(listener) });
            }
            MuxAddress::Unix(path) => path,
        };
        refuse_occupied(path).await?;
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut private = std::ffi::OsString::from(".");
        private.push(name);
        private.push(format!(".{}", std::process::id()));
        let private = path.with_file_name(private);
        fs::DirBuilder::new().mode(0o700).create(&private)?;
        let made = private.join("s");
        let placed = UnixListener::bind(&made).and_then(|listener| {
            fs::set_permissions(&made, fs::Permissions::from_mode(mode))?;
            let inode = fs::metadata(&made)?.ino();
            fs::rename(&made, path)?;
            Ok((listener, inode))
        });
        // Empty, or holding a socket that could not be placed.
        let _ = fs::remove_dir_all(&private);
        match placed {
            Ok((listener, inode)) => {
                let removed = AtomicBool::new(false);
                Ok(Self { kind: Kind::Unix { listener, path: path.clone(), inode, removed } })
            }
            Err(error) => Err(error),
        }
    }

    /// The address it really listens at.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<MuxAddress> {
        Ok(match &self.kind {
            Kind::Unix { path, .. } => MuxAddress::Unix(path.clone()),
            Kind::Tcp(listener) => {
                let address = listener.local_addr()?;
                MuxAddress::Tcp { host: address.ip().to_string(), port: address.port() }
            }
        })
    }

    /// The next connection.
    ///
    /// # Errors
    /// The system's, such as too many open files.
    pub async fn accept(&self) -> io::Result<SocketStream> {
        match &self.kind {
            Kind::Unix { listener, .. } => Ok(SocketStream::Unix(listener.accept().await?.0)),
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small frames to and fro: waiting for more bytes would double each trip.
                stream.set_nodelay(true)?;
                Ok(SocketStream::Tcp(stream))
            }
        }
    }
}

impl BoundListener {
    /// Removes the socket file now: the task that accepts may hold this a little longer.
    pub fn remove_file(&self) {
        // Once only: the inode may by then belong to somebody else's file.
        if let Kind::Unix { path, inode, removed, .. } = &self.kind
            && !removed.swap(true, Ordering::Relaxed)
            && fs::symlink_metadata(path).is_ok_and(|found| found.ino() == *inode)
        {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for BoundListener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

async fn refuse_occupied(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let taken = |why: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, why.to_owned()));
    if !found.file_type().is_socket() {
        return taken("there is a file in that place, and it is no socket");
    }
    match UnixStream::connect(path).await {
        Ok(_) => taken("somebody is listening there"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

/// An accepted connection.
#[derive(Debug)]
pub enum SocketStream {
    /// Through a file.
    Unix(UnixStream),
    /// Through the network.
    Tcp(TcpStream),
}

impl AsyncRead for SocketStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for SocketStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
