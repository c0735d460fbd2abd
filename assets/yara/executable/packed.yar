import "pe"

// A program that unpacks itself: its code cannot be searched, and nothing in an
// export has a reason to be one.
rule PackedProgram
{
    meta:
        description = "Windows program that unpacks itself when it runs"
    condition:
        pe.is_pe and pe.number_of_sections > 0 and
        for any i in (0..pe.number_of_sections - 1) : (
            pe.sections[i].characteristics & pe.SECTION_MEM_WRITE != 0 and
            pe.sections[i].characteristics & pe.SECTION_MEM_EXECUTE != 0 and
            pe.entry_point >= pe.sections[i].raw_data_offset and
            pe.entry_point < pe.sections[i].raw_data_offset + pe.sections[i].raw_data_size
        )
}
