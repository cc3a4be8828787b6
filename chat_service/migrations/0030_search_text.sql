-- What search makes of a text, of messages and of questions alike, so that both meet.
--
-- Compatibility forms become plain ones (NFKC) and accents are taken off, so that "ﬁancé" is found by "fiance"; signs of
-- scripts without spaces become words of their own, which a question then looks for side by side; and what the parser
-- would take for one word (a path, an address, a tag, a hyphenated word) falls apart. Case is the dictionary's business.
-- The length is bounded before and after, because a few signs become eighteen: a tsvector holds a megabyte at most.
CREATE FUNCTION search_text(said text) RETURNS text
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
    RETURN translate(said, '/.-+@:<>&_', '          ');
END
$$;

-- The words of a message's texts, with their places. What tools were given and gave back is not searched.
CREATE FUNCTION search_words(parts jsonb) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    said text := parts -> 0 ->> 'text';
BEGIN
    IF jsonb_array_length(parts) > 1 THEN
        SELECT string_agg(part ->> 'text', ' ' ORDER BY nth) INTO said
        FROM jsonb_array_elements(parts) WITH ORDINALITY AS p (part, nth);
    END IF;
    RETURN to_tsvector('pg_catalog.simple', coalesce(public.search_text(said), ''));
END
$$;

-- Where a message is, as words that no text can hold: its user's 2,048, 65,536 and 2,097,152 neighbours by serial, its
-- conversation, its role and its month. With them the index finds the newest of very many hits without the older ones,
-- and hits of other users cost nothing. Ids stand for themselves by their random ends: rows are checked for the whole.
CREATE FUNCTION search_scope(
    user_id uuid, conversation_id uuid, role smallint, serial bigint, create_time timestamptz
) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    owner text := right(user_id::text, 12);
BEGIN
    RETURN array_to_tsvector(ARRAY[
        '#0' || owner || (serial >> 11), '#1' || owner || (serial >> 16), '#2' || owner || (serial >> 21),
        '#c' || right(conversation_id::text, 12), '#r' || owner || role,
        '#m' || owner || (extract(epoch FROM create_time - '2000-01-01 00:00:00+00'::timestamptz)::bigint >> 21)
    ]);
END
$$;

-- The words of a title, and the user's own.
CREATE FUNCTION search_title(user_id uuid, title text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN to_tsvector('pg_catalog.simple', public.search_text(title))
        || array_to_tsvector(ARRAY['#u' || right(user_id::text, 12)]);
END
$$;
