// Barriers between the team that loads and the team that walks.
DEV void bar_init(u32 b, int n) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(b), "r"(n) : "memory"); }
DEV void bar_arrive(u32 b) { asm volatile("{.reg .b64 t; mbarrier.arrive.shared::cta.b64 t, [%0];}" ::"r"(b) : "memory"); }
DEV void bar_wait(u32 b, int parity) {
#if __CUDA_ARCH__ >= 900
  asm volatile("{.reg .pred p;\nL%=: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra L%=;\nD%=:}" ::"r"(b), "r"(parity) : "memory");
#else
  asm volatile("{.reg .pred p;\nL%=: mbarrier.test_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D%=;\nbra L%=;\nD%=:}" ::"r"(b), "r"(parity) : "memory");
#endif
}
