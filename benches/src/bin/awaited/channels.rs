//! The contenders: how their ends are made, and what their awaited calls are named.

use crate::{Channel, Recv, Send};

macro_rules! channel {
    ($name:ident: $send:ty, $recv:ty, $make:expr; |$to:ident, $value:ident| $sending:expr; |$from:ident| $receiving:expr) => {
        pub(crate) struct $name;

        impl Channel for $name {
            type Send = $send;
            type Recv = $recv;

            fn ends(capacity: usize) -> (Self::Send, Self::Recv) {
                $make(capacity)
            }
        }

        impl Send for $send {
            #[inline]
            async fn send(&mut self, $value: u64) {
                let $to = self;
                $sending.await.unwrap();
            }
        }

        impl Recv for $recv {
            #[inline]
            async fn recv(&mut self) -> u64 {
                let $from = self;
                $receiving.await.unwrap()
            }
        }
    };
}

use covet_queue::{mpmc, spsc};
channel!(CovetSpsc: spsc::Producer<u64>, spsc::Consumer<u64>, spsc::bounded;
    |to, value| spsc::Producer::send(to, value); |from| spsc::Consumer::recv(from));
channel!(CovetMpmc: mpmc::Producer<u64>, mpmc::Consumer<u64>, mpmc::bounded;
    |to, value| mpmc::Producer::send(to, value); |from| mpmc::Consumer::recv(from));

type FireOne = crossfire::spsc::Array<u64>;
channel!(CrossfireSpsc: crossfire::AsyncTx<FireOne>, crossfire::AsyncRx<FireOne>, crossfire::spsc::bounded_async;
    |to, value| crossfire::AsyncTx::send(to, value); |from| crossfire::AsyncRx::recv(from));
type FireMany = crossfire::mpmc::Array<u64>;
channel!(CrossfireMpmc: crossfire::MAsyncTx<FireMany>, crossfire::MAsyncRx<FireMany>, crossfire::mpmc::bounded_async;
    |to, value| crossfire::AsyncTx::send(to, value); |from| crossfire::AsyncRx::recv(from));

use tokio::sync::mpsc;
channel!(Tokio: mpsc::Sender<u64>, mpsc::Receiver<u64>, mpsc::channel;
    |to, value| mpsc::Sender::send(to, value); |from| mpsc::Receiver::recv(from));

channel!(AsyncChannel: async_channel::Sender<u64>, async_channel::Receiver<u64>, async_channel::bounded;
    |to, value| async_channel::Sender::send(to, value); |from| async_channel::Receiver::recv(from));

channel!(Kanal: kanal::AsyncSender<u64>, kanal::AsyncReceiver<u64>, kanal::bounded_async;
    |to, value| kanal::AsyncSender::send(to, value); |from| kanal::AsyncReceiver::recv(from));

channel!(Flume: flume::Sender<u64>, flume::Receiver<u64>, flume::bounded;
    |to, value| flume::Sender::send_async(to, value); |from| flume::Receiver::recv_async(from));
