// A ransom note: says to whom it may concern that files were encrypted, and how
// to pay, and how to get them back. One word alone is ordinary in a hospital's
// mail about ransomware or in a manual; a short text with all of it is a note.
// Japanese in UTF-8, Shift_JIS and UTF-16; ISO-2022-JP text is too short between
// its escapes to be told by bytes alone.
rule RansomNote
{
    meta:
        description = "Ransom note"
    strings:
        $locked_en1 = /your (personal |important |company |network )?(files|documents|data|servers|network)[^\n]{0,40}(have|has|are|were|was|is)( been)? (encrypted|locked)/ nocase ascii wide
        $locked_en2 = /(all|every) (of )?your (files|documents|data|backups)[^\n]{0,60}(encrypted|locked)/ nocase ascii wide
        $locked_en3 = "we have encrypted" nocase ascii wide
        $pay_en1 = "bitcoin" nocase ascii wide
        $pay_en2 = "monero" nocase ascii wide
        $pay_en3 = "ransom" nocase ascii wide
        $pay_en4 = "cryptocurrency" nocase ascii wide
        $pay_en5 = /pay (us|the|for)/ nocase ascii wide
        $way_en1 = ".onion" nocase ascii wide
        $way_en2 = "tor browser" nocase ascii wide
        $way_en3 = "decrypt" nocase ascii wide
        $way_en4 = "private key" nocase ascii wide
        $way_en5 = "recover your" nocase ascii wide
        $locked_ja1 = { E6 9A 97 E5 8F B7 E5 8C 96 E3 81 95 E3 82 8C E3 81 BE E3 81 97 E3 81 9F } // 暗号化されました, UTF-8
        $locked_ja2 = { 88 C3 8D 86 89 BB 82 B3 82 EA 82 DC 82 B5 82 BD } // 暗号化されました, Shift_JIS
        $locked_ja3 = { 97 66 F7 53 16 53 55 30 8C 30 7E 30 57 30 5F 30 } // 暗号化されました, UTF-16LE
        $locked_ja4 = { E6 9A 97 E5 8F B7 E5 8C 96 E3 81 95 E3 82 8C E3 81 A6 E3 81 84 E3 81 BE E3 81 99 } // 暗号化されています, UTF-8
        $locked_ja5 = { 88 C3 8D 86 89 BB 82 B3 82 EA 82 C4 82 A2 82 DC 82 B7 } // 暗号化されています, Shift_JIS
        $locked_ja6 = { 97 66 F7 53 16 53 55 30 8C 30 66 30 44 30 7E 30 59 30 } // 暗号化されています, UTF-16LE
        $locked_ja7 = { E6 9A 97 E5 8F B7 E5 8C 96 E3 81 97 E3 81 BE E3 81 97 E3 81 9F } // 暗号化しました, UTF-8
        $locked_ja8 = { 88 C3 8D 86 89 BB 82 B5 82 DC 82 B5 82 BD } // 暗号化しました, Shift_JIS
        $locked_ja9 = { 97 66 F7 53 16 53 57 30 7E 30 57 30 5F 30 } // 暗号化しました, UTF-16LE
        $locked_ja10 = { E6 9A 97 E5 8F B7 E5 8C 96 E3 81 95 E3 82 8C E3 81 9F } // 暗号化された, UTF-8
        $locked_ja11 = { 88 C3 8D 86 89 BB 82 B3 82 EA 82 BD } // 暗号化された, Shift_JIS
        $locked_ja12 = { 97 66 F7 53 16 53 55 30 8C 30 5F 30 } // 暗号化された, UTF-16LE
        $pay_ja1 = { E8 BA AB E4 BB A3 E9 87 91 } // 身代金, UTF-8
        $pay_ja2 = { 90 67 91 E3 8B E0 } // 身代金, Shift_JIS
        $pay_ja3 = { AB 8E E3 4E D1 91 } // 身代金, UTF-16LE
        $pay_ja4 = { E3 83 93 E3 83 83 E3 83 88 E3 82 B3 E3 82 A4 E3 83 B3 } // ビットコイン, UTF-8
        $pay_ja5 = { 83 72 83 62 83 67 83 52 83 43 83 93 } // ビットコイン, Shift_JIS
        $pay_ja6 = { D3 30 C3 30 C8 30 B3 30 A4 30 F3 30 } // ビットコイン, UTF-16LE
        $pay_ja7 = { E6 9A 97 E5 8F B7 E8 B3 87 E7 94 A3 } // 暗号資産, UTF-8
        $pay_ja8 = { 88 C3 8D 86 8E 91 8E 59 } // 暗号資産, Shift_JIS
        $pay_ja9 = { 97 66 F7 53 C7 8C 23 75 } // 暗号資産, UTF-16LE
        $pay_ja10 = { E4 BB AE E6 83 B3 E9 80 9A E8 B2 A8 } // 仮想通貨, UTF-8
        $pay_ja11 = { 89 BC 91 7A 92 CA 89 DD } // 仮想通貨, Shift_JIS
        $pay_ja12 = { EE 4E F3 60 1A 90 A8 8C } // 仮想通貨, UTF-16LE
        $way_ja1 = { E5 BE A9 E5 8F B7 } // 復号, UTF-8
        $way_ja2 = { 95 9C 8D 86 } // 復号, Shift_JIS
        $way_ja3 = { A9 5F F7 53 } // 復号, UTF-16LE
        $way_ja4 = { E5 BE A9 E5 85 83 } // 復元, UTF-8
        $way_ja5 = { 95 9C 8C B3 } // 復元, Shift_JIS
        $way_ja6 = { A9 5F 43 51 } // 復元, UTF-16LE
        $way_ja7 = { E6 94 AF E6 89 95 } // 支払, UTF-8
        $way_ja8 = { 8E 78 95 A5 } // 支払, Shift_JIS
        $way_ja9 = { 2F 65 55 62 } // 支払, UTF-16LE
        $way_ja10 = { 54 6F 72 E3 83 96 E3 83 A9 E3 82 A6 E3 82 B6 } // Torブラウザ, UTF-8
        $way_ja11 = { 54 6F 72 83 75 83 89 83 45 83 55 } // Torブラウザ, Shift_JIS
        $way_ja12 = { 54 00 6F 00 72 00 D6 30 E9 30 A6 30 B6 30 } // Torブラウザ, UTF-16LE
        $you_ja1 = { E3 81 82 E3 81 AA E3 81 9F E3 81 AE } // あなたの, UTF-8
        $you_ja2 = { 82 A0 82 C8 82 BD 82 CC } // あなたの, Shift_JIS
        $you_ja3 = { 42 30 6A 30 5F 30 6E 30 } // あなたの, UTF-16LE
        $you_ja4 = { E3 81 8A E5 AE A2 E6 A7 98 } // お客様, UTF-8
        $you_ja5 = { 82 A8 8B 71 97 6C } // お客様, Shift_JIS
        $you_ja6 = { 4A 30 A2 5B D8 69 } // お客様, UTF-16LE
        $you_ja7 = { E8 B2 B4 E9 99 A2 } // 貴院, UTF-8
        $you_ja8 = { 8B 4D 89 40 } // 貴院, Shift_JIS
        $you_ja9 = { B4 8C 62 96 } // 貴院, UTF-16LE
        $you_ja10 = { E8 B2 B4 E7 A4 BE } // 貴社, UTF-8
        $you_ja11 = { 8B 4D 8E D0 } // 貴社, Shift_JIS
        $you_ja12 = { B4 8C 3E 79 } // 貴社, UTF-16LE
        $you_ja13 = { E5 BE A1 E7 A4 BE } // 御社, UTF-8
        $you_ja14 = { 8C E4 8E D0 } // 御社, Shift_JIS
        $you_ja15 = { A1 5F 3E 79 } // 御社, UTF-16LE
        $you_ja16 = { E8 B2 B4 E6 96 B9 E3 81 AE } // 貴方の, UTF-8
        $you_ja17 = { 8B 4D 95 FB 82 CC } // 貴方の, Shift_JIS
        $you_ja18 = { B4 8C B9 65 6E 30 } // 貴方の, UTF-16LE
    condition:
        filesize < 64KB and
        (any of ($locked_en*) or (any of ($locked_ja*) and any of ($you_ja*))) and
        any of ($pay_*) and any of ($way_*)
}
