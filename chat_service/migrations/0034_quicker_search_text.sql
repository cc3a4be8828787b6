-- `search_text` as it was, with the same results: ten replacements take a sixth of the time of one translation, which
-- looks each sign of the text up among the ten.
CREATE OR REPLACE FUNCTION search_text(said text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF octet_length(said) > 100000 THEN
        said := left(said, 100000);
    END IF;
    IF octet_length(said) > char_length(said) THEN
        said := regexp_replace(normalize(said, NFKD), '[\u0300-\u036f]+', '', 'g');
        said := regexp_replace(normalize(said, NFKC), '([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])', ' \1 ', 'g');
        said := left(said, 100000);
    END IF;
    said := replace(replace(replace(replace(replace(said, '/', ' '), '.', ' '), '-', ' '), '+', ' '), '@', ' ');
    RETURN replace(replace(replace(replace(replace(said, ':', ' '), '<', ' '), '>', ' '), '&', ' '), '_', ' ');
END
$$;
