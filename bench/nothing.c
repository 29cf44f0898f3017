// For host times without a device: a libcuda.so.1 that does nothing, and memory that comes again by its size, lowest addresses first, as
// torch's allocator for devices gives it. Preloaded, it serves torch's tensors on the CPU, which alone ask for memory by posix_memalign.
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NOTHING(name) int name() { return 0; }
#define MAKES(name) int name(uint64_t* made) { *made = 1; return 0; }
NOTHING(cuInit) NOTHING(cuKernelSetAttribute) NOTHING(cuStreamDestroy) NOTHING(cuEventDestroy) NOTHING(cuEventRecord)
NOTHING(cuStreamWaitEvent) NOTHING(cuMemsetD8Async) NOTHING(cuLaunchKernelEx) NOTHING(cuGraphDestroy) NOTHING(cuGraphExecDestroy)
NOTHING(cuGraphExecKernelNodeSetParams_v2) NOTHING(cuGraphLaunch) NOTHING(cuTensorMapEncodeTiled) NOTHING(cuTensorMapReplaceAddress)
NOTHING(cuCtxSynchronize) NOTHING(cuCtxSetCurrent)
MAKES(cuCtxGetCurrent) MAKES(cuLibraryLoadData) MAKES(cuLibraryGetKernel) MAKES(cuKernelGetFunction) MAKES(cuStreamCreate)
MAKES(cuEventCreate) MAKES(cuGraphCreate) MAKES(cuGraphAddKernelNode_v2) MAKES(cuGraphInstantiateWithFlags)
int cuDriverGetVersion(int* version) { *version = 13000; return 0; }
int cuGetErrorName(int code, const char** name) { *name = "none"; return 0; }

enum { SIZES = 4096, UNIT = 512 };
static const size_t ROOM = (size_t)1 << 35;
// Blocks by size, those with the highest addresses first; a block has its size in front.
static struct Freed { size_t size, count, room; char** blocks; } freed[SIZES];
static char* begin;
static size_t used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
extern void __libc_free(void*);

static struct Freed* freed_of(size_t size) {
  size_t at = size / UNIT * 2654435761u % SIZES;
  while (freed[at].size != 0 && freed[at].size != size) at = (at + 1) % SIZES;
  freed[at].size = size;
  return &freed[at];
}

int posix_memalign(void** out, size_t boundary, size_t size) {
  size = (size + UNIT) / UNIT * UNIT;
  pthread_mutex_lock(&lock);
  if (begin == NULL) begin = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  struct Freed* same = freed_of(size);
  char* block;
  if (same->count > 0) {
    block = same->blocks[--same->count];
  } else {
    block = begin + used;
    *(size_t*)block = size;
    used += size + UNIT;
  }
  pthread_mutex_unlock(&lock);
  *out = block + UNIT;
  return used < ROOM ? 0 : ENOMEM;
}

void free(void* at) {
  if (begin == NULL || (char*)at < begin || (char*)at >= begin + ROOM) return __libc_free(at);
  char* block = (char*)at - UNIT;
  pthread_mutex_lock(&lock);
  struct Freed* same = freed_of(*(size_t*)block);
  if (same->count == same->room) {
    same->room = same->room ? 2 * same->room : 16;
    same->blocks = realloc(same->blocks, same->room * sizeof(char*));
  }
  size_t low = 0, high = same->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (same->blocks[middle] > block) low = middle + 1; else high = middle;
  }
  memmove(same->blocks + low + 1, same->blocks + low, (same->count - low) * sizeof(char*));
  same->blocks[low] = block;
  ++same->count;
  pthread_mutex_unlock(&lock);
}
