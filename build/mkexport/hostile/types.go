package hostile

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

func types() []sample {
	return []sample{
		{"dicom-pe", "types/IM000001.dcm", Detected, ByType, "a DICOM file whose preamble is the header of a Windows program", content(dicomPE())},
		{"pe", "types/viewer.exe", Detected, ByType, "a Windows program", content(program(128))},
		{"pe-unnamed", "types/9990001_20260406_OML-11_000000011000354_20260406103059000_01_1", Detected, ByType,
			"a Windows program under the name of a message", content(program(128))},
		{"autorun", "types/autorun.inf", Detected, ByType, "would start a program when a drive is inserted", content([]byte("[autorun]\r\nopen=viewer.exe\r\n"))},
		{"lnk", "types/紹介状.pdf.lnk", Detected, ByType, "a shortcut to a command, named like a document", content(shortcut(`..\..\Windows\System32\cmd.exe`, "/c echo invented"))},
		{"hta", "types/notice.hta", Detected, ByType, "a page that runs as a program", content([]byte(
			"<html><head><HTA:" + "APPLICATION ID=\"notice\"><script language=\"VBScript\">\r\nMsgBox \"invented\"\r\n</script></head></html>\r\n"))},
		{"docm", "types/問診票.docm", Detected, ByType, "a document with macros", built(macroDocument)},
		{"docx-encrypted", "types/encrypted.docx", Unscannable, ByLimits, "an encrypted document", content(encryptedDocument())},
		{"ransom-note", "types/HOW_TO_DECRYPT_FILES.txt", Clean, ByGuard, "named and worded like a ransom note",
			content([]byte("All your important files are encrypted.\r\nThis is a test; no such group exists.\r\n"))},
		{"pdf", "types/referral.pdf", Clean, ByNobody, "an ordinary document", content(pdf("referral"))},
	}
}

// program returns the headers of a 32-bit program without sections or code, the PE
// header lying at offset at.
func program(at int) []byte {
	b := make([]byte, at, at+24+224)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], uint32(at))
	return append(b, peHeader()...)
}

func peHeader() []byte {
	b := append([]byte("PE\x00\x00"), make([]byte, 20+224)...)
	binary.LittleEndian.PutUint16(b[4:], 0x14c)   // i386
	binary.LittleEndian.PutUint16(b[20:], 224)    // size of the optional header
	binary.LittleEndian.PutUint16(b[22:], 0x0102) // executable, 32 bits
	binary.LittleEndian.PutUint16(b[24:], 0x10b)  // PE32
	binary.LittleEndian.PutUint16(b[24+68:], 3)   // console
	binary.LittleEndian.PutUint32(b[24+92:], 16)  // directories
	return b
}

// dicomPE returns a DICOM object that both kinds of reader accept: the PE
// header is the value of a private element.
func dicomPE() []byte {
	element := func(group, number uint16, vr, value string) []byte {
		b := binary.LittleEndian.AppendUint16(nil, group)
		b = append(binary.LittleEndian.AppendUint16(b, number), vr...)
		if vr == "OB" {
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		}
		return append(b, value...)
	}
	meta := bytes.Join([][]byte{
		element(2, 0x01, "OB", "\x00\x01"),
		element(2, 0x02, "UI", "1.2.840.10008.5.1.4.1.1.7\x00"),
		element(2, 0x03, "UI", "2.25.9990001"),
		element(2, 0x10, "UI", "1.2.840.10008.1.2.1\x00"),
		element(2, 0x12, "UI", "2.25.9990000"),
	}, nil)
	var b bytes.Buffer
	b.Write(make([]byte, 128))
	b.WriteString("DICM")
	b.Write(element(2, 0, "UL", string(binary.LittleEndian.AppendUint32(nil, uint32(len(meta))))))
	b.Write(meta)
	b.Write(element(8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.7\x00"))
	b.Write(element(8, 0x18, "UI", "2.25.9990001"))
	b.Write(element(9, 0x10, "LO", "INVENTED"))
	header := peHeader()
	b.Write(element(9, 0x1001, "OB", string(header)))
	file := b.Bytes()
	copy(file, "MZ")
	binary.LittleEndian.PutUint32(file[0x3c:], uint32(len(file)-len(header)))
	return file
}

// shortcut returns a Windows shell link (MS-SHLLINK) that runs a command.
func shortcut(target, arguments string) []byte {
	b := make([]byte, 76)
	binary.LittleEndian.PutUint32(b, 76)
	copy(b[4:], []byte{0x01, 0x14, 0x02, 0x00, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46})
	binary.LittleEndian.PutUint32(b[20:], 0x08|0x20|0x80) // relative path, arguments, Unicode
	binary.LittleEndian.PutUint32(b[60:], 7)              // minimised
	for _, s := range []string{target, arguments} {
		units := utf16.Encode([]rune(s))
		b = binary.LittleEndian.AppendUint16(b, uint16(len(units)))
		for _, u := range units {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
	}
	return append(b, 0, 0, 0, 0)
}

func macroDocument() ([]byte, error) {
	const xml = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	return zipped(
		entry{"[Content_Types].xml", []byte(xml + `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">` +
			`<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>` +
			`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
			`<Override PartName="/word/document.xml" ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/></Types>`)},
		entry{"_rels/.rels", []byte(xml + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">` +
			`<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`)},
		entry{"word/document.xml", []byte(xml + `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>invented</w:t></w:r></w:p></w:body></w:document>`)},
		entry{"word/vbaProject.bin", compound(entry{"PROJECT", []byte("ID=\"{00000000-0000-0000-0000-000000000000}\"\r\nModule=Module1\r\nName=\"Invented\"\r\n")})},
	)
}

func encryptedDocument() []byte {
	const info = "\x04\x00\x04\x00\x40\x00\x00\x00" + `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` +
		`<encryption xmlns="http://schemas.microsoft.com/office/2006/encryption"><keyData saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512"/></encryption>`
	return compound(entry{"EncryptionInfo", []byte(info)}, entry{"EncryptedPackage", noise(8192)})
}
