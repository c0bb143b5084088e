import openai

client = openai.OpenAI()
messages = [{"role": "user", "content": "hi"}]
print(client.chat.completions.create(model="gpt-5-mini", messages=messages).choices[0].message.content)
# A naive reader: a chunk without choices would end it.
stream = client.chat.completions.create(model="gpt-5-mini", messages=messages, stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
print(client.responses.create(model="gpt-5-mini", input="hi").output_text)
print(len(client.embeddings.create(model="e", input="hi").data), client.models.list().data[0].id)

# Uploads in several parts, bytes as answers, and what has no tokens at all.
data = bytes(at * 7919 % 256 for at in range(70_000))
print(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", data)).text)
speech = client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="hi")
print("Hello from mock" if speech.read() == data else "other sound")
print(len(client.images.edit(model="gpt-image-1", image=("a.png", data, "image/png"), prompt="hi").data))
uploaded = client.files.create(file=("a.jsonl", data), purpose="batch")
print("Hello from mock" if client.files.content(uploaded.id).read() == data else "another file")
batch = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
print(client.batches.retrieve(batch.id).status, client.files.delete(uploaded.id).deleted)
