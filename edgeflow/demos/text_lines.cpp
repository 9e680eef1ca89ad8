#include "text_lines.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace edgeflow {
namespace {

double ratio(const Picture& line) { return static_cast<double>(line.width) / static_cast<double>(line.height); }

void split(const std::vector<std::size_t>& lines, std::size_t batch, std::vector<LineBatch>& to) {
  for (std::size_t begin = 0; begin < lines.size(); begin += batch) {
    const auto from = lines.begin() + static_cast<std::ptrdiff_t>(begin);
    to.push_back({{from, from + static_cast<std::ptrdiff_t>(std::min(batch, lines.size() - begin))}, 0});
  }
}

}  // namespace

std::vector<std::size_t> by_proportions(const std::vector<Picture>& lines) {
  std::vector<std::size_t> order(lines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ratio(lines[a]) < ratio(lines[b]); });
  return order;
}

std::vector<LineBatch> line_batches(const std::vector<Picture>& lines, const LineRules& rules) {
  const std::vector<std::size_t> order = by_proportions(lines);
  const auto height = static_cast<double>(rules.height);
  std::vector<LineBatch> found;
  if (rules.buckets.empty()) {
    split(order, rules.batch, found);
    for (LineBatch& batch : found) {
      const auto own = static_cast<std::int64_t>(height * ratio(lines[batch.lines.back()]));
      const std::int64_t widest = std::max(rules.width, own);
      batch.width = std::min((widest + rules.step - 1) / rules.step * rules.step, rules.width_max);
    }
    return found;
  }
  std::vector<std::vector<std::size_t>> held(rules.buckets.size());
  for (const std::size_t k : order) {
    const auto own = static_cast<std::int64_t>(std::ceil(height * ratio(lines[k])));
    const auto fits = std::lower_bound(rules.buckets.begin(), rules.buckets.end() - 1, own);
    held[static_cast<std::size_t>(fits - rules.buckets.begin())].push_back(k);
  }
  for (std::size_t k = 0; k < held.size(); ++k) {
    const std::size_t begin = found.size();
    split(held[k], rules.batch, found);
    for (std::size_t i = begin; i < found.size(); ++i) found[i].width = rules.buckets[k];
  }
  return found;
}

}  // namespace edgeflow
