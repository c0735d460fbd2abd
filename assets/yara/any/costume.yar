// A program in other clothing: the file begins as a program and is at the same
// time what a viewer opens. A DICOM file's first 128 bytes are free for anything
// (PS3.10 7.1), and PDF readers look for their header within the first 1024.
private rule BeginsAsProgram
{
    condition:
        uint16(0) == 0x5A4D or            // MZ
        uint32(0) == 0x464C457F or        // ELF
        uint32(0) == 0xFEEDFACE or uint32(0) == 0xFEEDFACF or uint32(0) == 0xCEFAEDFE or
        uint32(0) == 0xCFFAEDFE or uint32be(0) == 0xCAFEBABE or
        uint16be(0) == 0x2321             // #!
}

rule ProgramInDICOM
{
    meta:
        description = "Program in the preamble of a DICOM file"
    condition:
        BeginsAsProgram and uint32be(128) == 0x4449434D
}

rule ProgramInPDF
{
    meta:
        description = "Program that is also a PDF"
    strings:
        $pdf = "%PDF-"
    condition:
        BeginsAsProgram and $pdf in (0..1023)
}

// The other way round: a picture, PDF or DICOM file with a whole Windows
// program inside, not compressed. 0x3C of the program points to its PE header.
rule ProgramBehindPicture
{
    meta:
        description = "Windows program behind the start of a picture or document"
    strings:
        $mz = { 4D 5A [58] ?? ?? 00 00 [0-448] ( 54 68 69 73 | 74 68 69 73 ) 20 70 72 6F 67 72 61 6D 20 }
    condition:
        (uint32be(0) == 0x89504E47 or                 // PNG
         uint32be(0) & 0xFFFFFF00 == 0xFFD8FF00 or    // JPEG
         uint32be(0) == 0x47494638 or                 // GIF
         uint32be(0) == 0x25504446 or                 // PDF
         uint32be(128) == 0x4449434D) and             // DICOM
        for any i in (1..#mz) : (
            @mz[i] > 0 and uint32(@mz[i] + uint32(@mz[i] + 0x3C)) == 0x00004550
        )
}
