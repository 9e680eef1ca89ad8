#include "expect.h"
#include "files.h"

using namespace edgeflow;

int main() {
  // Source: FIPS 180-4 examples, and lengths around the padding's edges, made with Python's hashlib.
  EXPECT(sha256_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT(sha256_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT(sha256_text(std::string(55, 'a')) == "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT(sha256_text(std::string(56, 'a')) == "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  EXPECT(sha256_text(std::string(64, 'a')) == "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT(sha256_text(std::string(1000, 'a')) == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");

  write_file("lines.txt", "cat\r\n\ndog");
  EXPECT((read_lines("lines.txt") == std::vector<std::string>{"cat", "", "dog"}));
  write_file("lines.txt", "cat\ndog\n");
  EXPECT((read_lines("lines.txt") == std::vector<std::string>{"cat", "dog"}));
  EXPECT_THROWS(read_file("lines.txt", 4), "takes 8 bytes, and should take at most 4");
  EXPECT_THROWS(read_file("nowhere.txt", 4), "nowhere.txt: is missing");
  EXPECT_THROWS(read_file(".", 4), "no file");
  EXPECT_THROWS(write_file("nowhere/file.txt", "x"), "nowhere/file.txt: cannot be written");
  return failures();
}
