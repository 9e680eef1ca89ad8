"""Pages with known text, drawn with a free Chinese font: pictures and a label file in PaddleOCR's format."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT = Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
"""Debian's fonts-wqy-microhei: apt install fonts-wqy-microhei."""

SIZES = ((640, 480), (480, 640), (640, 640), (736, 512))
"""Width and height of pages, in pixels."""

GAP, MARGIN = 14, 2
"""Pixels between lines, and around a line in its label: people draw boxes a little wider than the ink."""

NOISE, BLUR = 12.0, 1.2
"""The most of both: grey levels of 255, and pixels."""

LINES = (
    "人民 中国 时间 工作 发展 经济 技术 公司 市场 社会 问题 政府 国际 管理 企业 生产 建设 教育 科学 研究 文化",
    "历史 城市 北京 上海 广州 深圳 杭州 南京 武汉 成都 西安 重庆 天津 苏州 地址 电话 姓名 日期 金额 数量 单价",
    "合计 发票 编号 银行 账户 密码 用户 登录 注册 订单 商品 价格 优惠 配送 快递 签收 客服 投诉 退款 保修 说明",
    "注意 安全 警告 禁止 允许 入口 出口 停车 地铁 公交 机场 车站 医院 药品 用法 用量 有效期 生产日期 保质期",
    "净含量 配料 能量 蛋白质 脂肪 碳水化合物 人工智能 神经网络 深度学习 边缘计算 模型压缩 量化训练 推理引擎",
    "手机芯片 文字识别 图像处理 操作系统 数据中心 春天 夏天 秋天 冬天 太阳 月亮 星星 河流 山脉 森林 海洋 花朵",
    "小鸟 朋友 家庭 孩子 老师 学生 学校 图书 音乐 电影 运动 今天 明天 昨天 早上 下午 晚上 星期一 星期五 一月",
    "十二月 欢迎光临 谢谢惠顾 请勿打扰 小心地滑 节约用水 保持安静",
)
WORDS = [word for line in LINES for word in line.split()]
LATIN = ["OPEN", "SALE", "WiFi", "Model", "Total", "Price", "Date", "Phone", "Android", "Kirin", "NPU", "Hello", "Edge"]


def text(random: np.random.Generator) -> str:
    """A line such as stand on labels, tickets and signs."""
    kind = random.random()
    if kind < 0.6:
        return "".join(random.choice(WORDS, int(random.integers(1, 5))))
    if kind < 0.75:
        return f"{random.choice(WORDS)}{random.integers(1, 10**6)}"
    if kind < 0.85:
        return f"{random.choice(WORDS)}：{random.integers(1, 1000)}.{random.integers(10, 100)}元"
    if kind < 0.95:
        return f"{random.choice(LATIN)}{random.integers(10, 10**4)}"
    return f"20{random.integers(10, 30)}-{random.integers(10, 13)}-{random.integers(10, 29)}"


@dataclass(frozen=True)
class Style:
    """What pages look like: widths and heights, the least and most height of letters, what is written, how far corners
    are moved by perspective, in shares of a side.
    """

    sizes: tuple[tuple[int, int], ...] = SIZES
    letters: tuple[int, int] = (13, 38)
    text: Callable[[np.random.Generator], str] = text
    perspective: float = 0.0


def page(random: np.random.Generator, style: Style = Style()) -> tuple[Image.Image, list[dict[str, object]]]:
    """A picture and its boxes with their texts, from top to bottom."""
    width, height = style.sizes[int(random.integers(len(style.sizes)))]
    dark = random.random() < 0.25
    ground = random.uniform(20, 80, 3) if dark else random.uniform(170, 255, 3)
    slope = random.uniform(-30, 30, (2, 3))
    y, x = np.mgrid[0:height, 0:width][..., None] / np.array([[[[height]]], [[[width]]]])
    pixels = ground + slope[0] * y + slope[1] * x
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    boxes: list[dict[str, object]] = []
    top = int(random.integers(GAP, 40))
    while True:
        font = ImageFont.truetype(str(FONT), int(random.integers(*style.letters)))
        said = style.text(random)
        ink = random.uniform(130, 255, 3) if dark else random.uniform(0, 120, 3)
        left, high, right, low = font.getbbox(said)
        angle = math.radians(random.uniform(-4, 4)) if random.random() < 0.3 else 0.0
        w, h = right - left, low - high
        reach = w * abs(math.sin(angle)) + h * math.cos(angle), w * math.cos(angle) + h * abs(math.sin(angle))
        if top + reach[0] + GAP > height:
            return _photographed(*_aslant(picture, boxes, style.perspective, random), random)
        if reach[1] + 2 * GAP > width:
            continue
        start = random.uniform(GAP, width - reach[1] - GAP)
        middle = np.array([start + reach[1] / 2, top + reach[0] / 2])
        layer = Image.new("L", (w + 4, h + 4))
        ImageDraw.Draw(layer).text((2 - left, 2 - high), said, 255, font)
        layer = layer.rotate(-math.degrees(angle), Image.Resampling.BICUBIC, expand=True)
        corner = (round(middle[0] - layer.width / 2), round(middle[1] - layer.height / 2))
        picture.paste(tuple(int(v) for v in ink), corner, layer)
        along = np.array([math.cos(angle), math.sin(angle)])
        down = np.array([-along[1], along[0]])
        half = along * (w / 2 + MARGIN), down * (h / 2 + MARGIN)
        points = [middle + sx * half[0] + sy * half[1] for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        boxes.append({"transcription": said, "points": [[round(float(v), 1) for v in point] for point in points]})
        top += int(reach[0]) + int(random.integers(GAP, 3 * GAP))


def _aslant(
    picture: Image.Image, boxes: list[dict[str, object]], most: float, random: np.random.Generator
) -> tuple[Image.Image, list[dict[str, object]]]:
    """Seen from the side: each corner of the page moves inwards, and the boxes move with it."""
    if not most:
        return picture, boxes
    width, height = picture.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    moved = corners + random.uniform(0, most, (4, 2)) * np.where(corners > 0, -1, 1) * [width, height]
    ground = tuple(int(v) for v in np.asarray(picture).reshape(-1, 3).mean(0))
    back, forth = _homography(moved, corners), _homography(corners, moved)
    picture = picture.transform(
        picture.size, Image.Transform.PERSPECTIVE, back[:8].tolist(), Image.Resampling.BICUBIC, fillcolor=ground
    )
    for box in boxes:
        points = np.array(box["points"]) @ forth[[0, 1, 3, 4, 6, 7]].reshape(3, 2).T + forth[[2, 5, 8]]
        box["points"] = (points[:, :2] / points[:, 2:]).round(1).tolist()
    return picture, boxes


def _homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The nine numbers that carry four points onto four others."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(np.array(rows), target.ravel()), 1.0)


def _photographed(
    picture: Image.Image, boxes: list[dict[str, object]], random: np.random.Generator
) -> tuple[Image.Image, list[dict[str, object]]]:
    """Out of focus by up to a pixel, and with a sensor's noise."""
    blurred = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, BLUR)))
    pixels = np.asarray(blurred, np.float64) + random.normal(0, random.uniform(0, NOISE), (*blurred.size[::-1], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), boxes


def write(folder: Path, count: int, seed: int, style: Style = Style()) -> Path:
    """Draw pages into a folder, and their label file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    lines = []
    for index in range(count):
        picture, boxes = page(random, style)
        picture.save(folder / f"{index:03}.png")
        lines.append(f"{folder.name}/{index:03}.png\t{json.dumps(boxes, ensure_ascii=False)}\n")
    labels = folder.with_suffix(".txt")
    labels.write_text("".join(lines), encoding="utf-8")
    return labels


if __name__ == "__main__":
    home = Path(__file__).parent / "pages"
    print(write(home / "calibration", 100, seed=1))
    print(write(home / "test", int(sys.argv[1]) if len(sys.argv) > 1 else 200, seed=2))
