// An NVRTC for tests: what it "compiles" says for which architecture, and every compilation is noted in the file STUB_NVRTC_LOG.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char made[256];
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 0; return 0; }
int nvrtcCreateProgram(void** program, const char* text, const char* name, int n, void* headers, void* names) { *program = made; return 0; }
int nvrtcCompileProgram(void* program, int n, const char** options) {
  snprintf(made, sizeof made, "made %s", options[1]);
  FILE* log = fopen(getenv("STUB_NVRTC_LOG"), "a");
  fprintf(log, "%s\n", options[1]);
  fclose(log);
  return getenv("STUB_NVRTC_CODE") ? atoi(getenv("STUB_NVRTC_CODE")) : 0;
}
int nvrtcGetCUBINSize(void* program, size_t* n) { *n = strlen(made); return 0; }
int nvrtcGetCUBIN(void* program, char* to) { memcpy(to, made, strlen(made)); return 0; }
int nvrtcGetProgramLogSize(void* program, size_t* n) { *n = 17; return 0; }
int nvrtcGetProgramLog(void* program, char* to) { memcpy(to, "line 1: an error", 17); return 0; }
int nvrtcDestroyProgram(void** program) { return 0; }
