"""Names the small country's people bear: family names at about their real frequency, middle and given names by gender.

Frequencies are rounded from common knowledge, not from a census; they only make the data look and behave familiarly.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

_FAMILY: Final[dict[str, float]] = {
    "Nguyễn": 31.5, "Trần": 10.9, "Lê": 8.9, "Phạm": 5.9, "Hoàng": 3.6, "Huỳnh": 2.1, "Phan": 2.8, "Vũ": 2.5,
    "Võ": 1.8, "Đặng": 2.1, "Bùi": 2.0, "Đỗ": 1.9, "Hồ": 1.5, "Ngô": 1.3, "Dương": 1.2, "Lý": 1.0, "Đào": 0.9,
    "Đinh": 0.9, "Trịnh": 0.8, "Lương": 0.8, "Đoàn": 0.8, "Mai": 0.7, "Trương": 1.4, "Cao": 0.7, "Tô": 0.4, "Tạ": 0.4,
    "Chu": 0.4, "Hà": 0.6, "Lâm": 0.6, "Phùng": 0.5, "Thái": 0.3, "Quách": 0.3, "Vương": 0.3, "Nông": 0.3, "Lò": 0.2,
    "Vàng": 0.1, "Giàng": 0.1, "Hứa": 0.2, "Kiều": 0.2, "Lưu": 0.5, "La": 0.2, "Tống": 0.2, "Khổng": 0.1,
}  # fmt: skip
FAMILY_NAMES: Final = tuple(_FAMILY)
FAMILY_WEIGHTS: Final = tuple(accumulate(_FAMILY.values()))
"""Cumulative, in the order of FAMILY_NAMES."""

MIDDLE: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (
    ("Văn", "Văn", "Văn", "Đức", "Hữu", "Quang", "Minh", "Công", "Đình", "Xuân", "Quốc", "Trung", "Thành", "Tuấn",
     "Bá", "Duy", "Ngọc", "Hồng", "Mạnh", "Gia", "Thế", "Viết", "Trọng", "Anh"),
    ("Thị", "Thị", "Thị", "Thị", "Ngọc", "Thu", "Thanh", "Phương", "Minh", "Hồng", "Kim", "Bích", "Mai", "Thùy",
     "Quỳnh", "Khánh", "Bảo", "Hải", "Diệu", "Hoài", "Lan", "Tuyết"),
)  # fmt: skip
"""Middle names of men, then of women."""

GIVEN: Final[tuple[tuple[str, ...], tuple[str, ...]]] = (
    ("An", "Anh", "Bách", "Bảo", "Bình", "Chiến", "Chính", "Cường", "Đại", "Đạt", "Điệp", "Dũng", "Dương",
     "Duy", "Giang",
     "Hà", "Hải", "Hậu", "Hiếu", "Hòa", "Hoàng", "Hưng", "Huy", "Hùng", "Khang", "Khánh", "Khoa", "Kiên", "Lâm", "Lộc",
     "Long", "Lực", "Mạnh", "Minh", "Nam", "Nghĩa", "Nguyên", "Nhân", "Phong", "Phú", "Phúc", "Phương",
     "Quân", "Quang",
     "Quý", "Sơn", "Tài", "Tân", "Thắng", "Thành", "Thịnh", "Thọ", "Tiến", "Toàn", "Trí", "Trung", "Tú",
     "Tuấn", "Tùng",
     "Việt", "Vinh", "Vũ"),
    ("An", "Anh", "Ánh", "Châu", "Chi", "Diễm", "Diệp", "Dung", "Duyên", "Giang", "Hà", "Hân", "Hằng", "Hạnh", "Hiền",
     "Hoa", "Hòa", "Hoài", "Hồng", "Huệ", "Hương", "Huyền", "Khanh", "Lan", "Lê", "Liên", "Linh", "Loan", "Ly", "Mai",
     "My", "Nga", "Ngân", "Ngọc", "Nguyệt", "Nhàn", "Nhi", "Nhung", "Oanh", "Phúc", "Phương", "Quyên", "Quỳnh", "Tâm",
     "Thảo", "Thoa", "Thơm", "Thu", "Thúy", "Thủy", "Trâm", "Trang", "Trinh", "Tuyết", "Uyên", "Vân", "Vy",
     "Xuân", "Yến"),
)  # fmt: skip
"""Given names of men, then of women."""

FIRM_WORDS: Final = (
    "Hoa Phượng", "Sông Cấm", "Cát Bà", "Bạch Đằng", "An Biên", "Tam Bạc", "Núi Voi", "Đồ Sơn", "Lạch Tray", "Hạ Lý",
    "Ánh Dương", "Bình Minh", "Đại Phát", "Hưng Thịnh", "Phú Quý", "Thành Công", "Tân Tiến", "Trường Sơn", "Việt Hưng",
    "Đông Á", "Nam Hải", "Bắc Hà", "Thiên Long", "Kim Sơn",
)  # fmt: skip
FIRM_TRADES: Final = (
    "Vận tải", "Cơ khí", "Thủy sản", "Xây dựng", "Thương mại", "May mặc", "Nông sản", "Công nghệ", "Du lịch",
    "Logistics",
    "Vật liệu", "Điện tử", "Dược phẩm", "Bao bì",
)  # fmt: skip
