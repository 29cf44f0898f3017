// An NVRTC for tests: what it "compiles" says for which architecture, and every compilation, with what the source may include, is noted in
// the file STUB_NVRTC_LOG.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char made[256], included[256];
int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 0; return 0; }
int nvrtcCreateProgram(void** program, const char* text, const char* name, int n, const char** headers, const char** names) {
  *program = made;
  included[0] = 0;
  for (int i = 0; i < n; i++) snprintf(included + strlen(included), sizeof included - strlen(included), " %s", headers[i][0] ? names[i] : "?");
  return 0;
}
int nvrtcCompileProgram(void* program, int n, const char** options) {
  snprintf(made, sizeof made, "made %s", options[1]);
  FILE* log = fopen(getenv("STUB_NVRTC_LOG"), "a");
  fprintf(log, "%s%s\n", options[1], included);
  fclose(log);
  return getenv("STUB_NVRTC_CODE") ? atoi(getenv("STUB_NVRTC_CODE")) : 0;
}
int nvrtcGetCUBINSize(void* program, size_t* n) { *n = strlen(made); return 0; }
int nvrtcGetCUBIN(void* program, char* to) { memcpy(to, made, strlen(made)); return 0; }
int nvrtcGetProgramLogSize(void* program, size_t* n) { *n = 17; return 0; }
int nvrtcGetProgramLog(void* program, char* to) { memcpy(to, "line 1: an error", 17); return 0; }
int nvrtcDestroyProgram(void** program) { return 0; }
