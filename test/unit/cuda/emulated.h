// What kernels see of the emulator, compiled once for many of their texts. A text says what it uses (`using namespace`), as it includes
// what it uses of templates/cuda.
#include "emulator.h"
#define kHalf HALF
namespace ptx {
#include "emulator-ptx.h"
#ifdef BODIES
#include "emulator-ptx.cc"
#endif
}
namespace wgmma_rows {
using namespace ptx;
#include "emulator-wgmma.h"
}
#undef kHalf
