// autorun.inf that starts something. Nothing in an export starts by itself.
rule Autorun
{
    meta:
        description = "autorun.inf that starts a program"
    strings:
        $section = /(^|[\r\n\xff\xfe\xbf])[ \t]*\[autorun(\.[a-z0-9]+)?\]/ nocase
        $section_wide = "[autorun" nocase wide
        $start = /[\r\n][ \t]*(open|shellexecute|shell\\[a-z0-9_]{1,32}\\command)[ \t]*=/ nocase
        $start_wide1 = "open=" nocase wide
        $start_wide2 = "shellexecute=" nocase wide
    condition:
        filesize < 64KB and
        (($section and $start) or ($section_wide in (0..64) and any of ($start_wide*)))
}
