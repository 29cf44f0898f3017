// What a warp has where it holds, one behind the other, to SEATS places, and nothing to those that are left. `held`: does the i-th of a lane's
// PIECES, those of all lanes before the next? `put`: of the i-th to a place. There are no more than SEATS.
template <int PIECES, int SEATS, typename Held, typename Put, typename None> DEV void pack(Held held, Put put, None none) {
  const int lane = threadIdx.x & 31;
  int before = 0;
  UNROLL for (int i = 0; i < PIECES; ++i) {
    const bool holds = held(i);
    const u32 all = __ballot_sync(~0u, holds);
    const int seat = before + __popc(all & ((1u << lane) - 1));
    if (holds && seat < SEATS) put(seat, i);
    before += __popc(all);
  }
  for (int seat = before + lane; seat < SEATS; seat += 32) none(seat);
}
