// Whole numbers in memory, in registers as f32: exact up to 2^24.
DEV float ld(const int* p) { return (float)*p; }
DEV void st(int* p, float x) { *p = (int)x; }
