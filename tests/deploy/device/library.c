// Stands where Paddle Lite's library would: programs must find it through LD_LIBRARY_PATH.
static const char name[] = "Paddle-Lite with nnadapter";
static const char version[] = "\0v2.13-rc";
const char* paddle_lite_version(void) { return name[0] ? version + 1 : name; }
