from google import genai

client = genai.Client()
print(client.models.generate_content(model="gemini-2.5-flash", contents="hi").text)
print("".join(chunk.text or "" for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")))
say = {"function_declarations": [{"name": "say"}]}
config = {"tools": [say], "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["say"]}}}
answer = client.models.generate_content(model="gemini-2.5-flash", contents="hi", config=config)
print(answer.function_calls[0].args["text"])
print(len(client.models.embed_content(model="gemini-embedding-001", contents="hi").embeddings))
print(client.batches.create(model="gemini-2.5-flash", src=[{"contents": [{"parts": [{"text": "hi"}]}]}]).name)
