// --check of a pipeline: its golden pages, read on this device.
#pragma once

#include "page.h"

namespace edgeflow {

// Prints PASS (0), or FAIL and the first line that is read otherwise (3). A line that is missing or too many counts as
// read otherwise.
int check_pages(PageReader& reader);

// Reads the golden pages twice, so that what compiles for an NPU is done and kept; prints both times.
int prepare_pages(PageReader& reader);

}  // namespace edgeflow
