; What counts as damage in the body of a function: places that the grammar could not read. A function with damage is
; reported, never rewritten.
;
; Run over a body of which tree-sitter says that it has an error, after masking (src/normalise.rs). Spans are those of
; the original bytes. What the grammar reads without an error, but as something that no body holds, is damage as well:
; src/parse/stmt.rs says so where it meets a kind of node that it does not know.

; Tokens that were skipped: `foo(a b);`
(ERROR) @damage

; A token that was made up: the `;` behind `list_for_each(p, head) put_page(p)`
(MISSING) @damage

; A call without its `;`, or a loop macro, taken for a function in a function: `for_each_it(a, b) { put_page(a); }`
(compound_statement (function_definition) @damage)
