// What a warp has where it holds, one behind the other, to SEATS places; 0 to those that are left. `held`, `get`: of the i-th of a lane's PIECES,
// those of all lanes before the next. There are no more than SEATS.
template <int PIECES, int SEATS, typename Held, typename Get, typename Put> DEV void pack(Held held, Get get, Put put) {
  const int lane = threadIdx.x & 31;
  int before = 0;
  UNROLL for (int i = 0; i < PIECES; ++i) {
    const bool holds = held(i);
    const u32 all = __ballot_sync(~0u, holds);
    const int seat = before + __popc(all & ((1u << lane) - 1));
    if (holds && seat < SEATS) put(seat, get(i));
    before += __popc(all);
  }
  for (int seat = before + lane; seat < SEATS; seat += 32) put(seat, 0.f);
}
