// The emulator's bodies, compiled once for many texts of kernels.
#include "emulator.cc"
#define BODIES
#include "emulated.h"

static std::map<std::string, Guarded> blocks;
void* data(const char* name) { return blocks.at(name).at; }
void load(const char* name) {
  FILE* f = fopen((std::string(name) + ".bin").c_str(), "rb");
  fseek(f, 0, SEEK_END);
  const size_t bytes = ftell(f);
  rewind(f);
  blocks[name] = guard(name, bytes, 16);
  if (fread(data(name), 1, bytes, f) != bytes) exit(4);
  fclose(f);
}
void store_all() {
  for (auto& [name, block] : blocks) {
    FILE* f = fopen((name + ".out").c_str(), "wb");
    fwrite(block.at, 1, block.bytes, f);
    fclose(f);
  }
}
