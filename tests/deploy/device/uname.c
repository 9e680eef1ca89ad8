// uname(2) as the machine itself answers it: run under qemu, it is the emulated one.
#include <stdio.h>
#include <sys/utsname.h>
int main(int argc, char** argv) {
  struct utsname u;
  uname(&u);
  if (argc > 1 && argv[1][1] == 'm') return puts(u.machine) < 0;
  return printf("%s %s\n", u.sysname, u.release) < 0;
}
