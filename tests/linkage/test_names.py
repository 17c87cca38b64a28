"""Names of persons and firms: spellings of one name meet, different names stay apart, nothing is assumed."""

from __future__ import annotations

import unicodedata

import pytest

from lienthong.linkage.legacy import convert_legacy, from_viscii
from lienthong.linkage.names import official_spelling, read_firm_name, read_person_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nguyễn Thị Hòa", "NGUYỄN THỊ HOÀ"),
        ("Nguyễn Thị Hòa", unicodedata.normalize("NFD", "nguyễn  thị hòa")),
        ("Nguyễn Thị Hòa", "nguyen thi hoa"),
        ("Nguyễn Thị Hòa", "Bà Nguyễn Thị Hòa"),
        ("Lê Văn Lý", "ThS. Lê Văn Lí"),
        ("Hoàng Văn Thụ", "Huỳnh Văn Thụ"),
        ("Vũ Thị Mai", "Võ Thị Mai"),
    ],
)
def test_spellings_of_one_name_have_one_key(one, other):
    assert read_person_name(one).key == read_person_name(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [("Nguyễn Văn Vũ", "Nguyễn Văn Võ"), ("Nguyễn Văn An", "Nguyễn Văn Anh"), ("Trần Thúy Huỳnh", "Trần Thúy Hoàng")],
)
def test_variants_of_family_names_leave_given_names_apart(one, other):
    assert read_person_name(one).key != read_person_name(other).key


@pytest.mark.parametrize(
    ("text", "family", "middle", "given"),
    [
        ("Nguyễn Văn An", "nguyen", "van", "an"),
        ("Ông Ích Khiêm", "ong", "ich", "khiem"),
        ("Ông Nguyễn Ích Khiêm", "nguyen", "ich", "khiem"),
        ("Y Moan", "y", "", "moan"),
        ("H'Hen Niê", "h'hen", "", "nie"),
        ("Giàng A Páo", "giang", "a", "pao"),
        ("Páo", "", "", "pao"),
        ("Công Tằng Tôn Nữ Mỹ Linh", "cong", "tang ton nu mi", "linh"),
        ("", "", "", ""),
        ("🏠 123", "", "", "123"),
    ],
)
def test_a_name_is_taken_apart_without_assuming_three_parts(text, family, middle, given):
    found = read_person_name(text)

    assert (found.family, found.middle, found.given) == (family, middle, given)


def test_a_name_in_the_other_order_is_recognised_and_has_the_same_words():
    straight, turned = read_person_name("Trần Thanh Bình"), read_person_name("Thanh Bình Trần")

    assert (straight.reversed, turned.reversed) == (False, True)
    assert straight.bag == turned.bag
    assert turned.key == straight.key


def test_a_name_is_written_as_a_register_writes_it():
    assert official_spelling(" nguyễn   THỊ hoà ") == "Nguyễn Thị Hòa"


@pytest.mark.parametrize(
    ("text", "form", "core"),
    [
        ("Công ty TNHH MTV ABC", "TNHH1", "abc"),
        ("Cty TNHH Một Thành Viên ABC", "TNHH1", "abc"),
        ("Công ty TNHH Hai Thành Viên Trở Lên Sông Hồng", "TNHH2", "song hong"),
        ("CTCP SỮA VIỆT NAM", "CP", "sua viet nam"),
        ("Công ty Cổ phần Sữa Việt Nam", "CP", "sua viet nam"),
        ("DNTN Hoa Mai", "DNTN", "hoa mai"),
        ("HTX Nông nghiệp Đại Hiệp", "HTX", "nong nghiep dai hiep"),
        ("Chi nhánh Công ty CP FPT", "CN", "fpt"),
        ("CÔNG TY CP ĐT XD Bình Minh", "CP", "dau tu xay dung binh minh"),
        ("Hoa Mai", "", "hoa mai"),
        ("", "", ""),
    ],
)
def test_a_firms_legal_form_stands_apart_from_its_core(text, form, core):
    found = read_firm_name(text)

    assert (found.form, found.core) == (form, core)


@pytest.mark.parametrize(
    ("text", "encoding", "meant"),
    [
        ("Céng hßa x· héi chñ nghÜa ViÖt Nam", "tcvn3", "Cộng hòa xã hội chủ nghĩa Việt Nam"),
        ("§éc lËp - Tù do - H¹nh phóc", "tcvn3", "Độc lập - Tự do - Hạnh phúc"),
        ("Coäng hoøa xaõ hoäi chuû nghóa Vieät Nam", "vni", "Cộng hòa xã hội chủ nghĩa Việt Nam"),
        ("Ñoäc laäp - Töï do - Haïnh phuùc", "vni", "Độc lập - Tự do - Hạnh phúc"),
        ("NGUYEÃN VAÊN ÑÖÙC", "vni", "NGUYỄN VĂN ĐỨC"),
        ("Nguy\xadn Th¸ Bình, phß¶ng LÕch Tray", "viscii", "Nguyễn Thị Bình, phường Lạch Tray"),
        ("Hà Nµi", "viscii", "Hà Nội"),
        ("C\x93NG HÒA XÃ H\x93I CH\x9c NGHÎA VI\x8eT NAM", "viscii", "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"),
        ("São Paulo", None, "São Paulo"),
        ("Zürich, Élysée, naïve café", None, "Zürich, Élysée, naïve café"),
        ("Cộng hòa xã hội chủ nghĩa Việt Nam", None, "Cộng hòa xã hội chủ nghĩa Việt Nam"),
        ("Nguyen Van An", None, "Nguyen Van An"),
        ("Übergrößenträger", None, "Übergrößenträger"),
        ("hoà bình", None, "hoà bình"),
        ("", None, ""),
    ],
)
def test_legacy_text_is_converted_and_other_text_left(text, encoding, meant):
    found = convert_legacy(text)

    assert (found.encoding, found.text) == (encoding, meant)


def test_two_encodings_in_one_text_are_left_as_they_came_rather_than_guessed():
    mixed = "Céng hßa x· héi, Coäng hoøa xaõ hoäi, Cộng hòa xã hội"

    assert convert_legacy(mixed).encoding is None
    assert convert_legacy(mixed).text == mixed


def test_every_letter_of_viscii_stands_for_one_vietnamese_letter():
    letters = from_viscii("\x02\x05\x06\x14\x19\x1e" + "".join(map(chr, range(0x80, 0x100))))

    assert len(set(letters)) == 134
    assert all(unicodedata.normalize("NFC", letter) == letter and letter.isalpha() for letter in letters)
    assert {letter.upper() for letter in letters} <= set(letters), "capitals have places of their own"
