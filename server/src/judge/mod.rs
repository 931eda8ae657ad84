//! The judge: prompt, schema, parsing, evidence check, verdict. Pure.
