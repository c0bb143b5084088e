package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/openai/openai-go/v3"
	"google.golang.org/genai"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	client := openai.NewClient()
	params := openai.ChatCompletionNewParams{Model: "gpt-5-mini", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")}}
	chat, err := client.Chat.Completions.New(ctx, params)
	check(err)
	fmt.Println(chat.Choices[0].Message.Content)
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	text := ""
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			text += choice.Delta.Content
		}
	}
	check(stream.Err())
	fmt.Println(text)
	data := make([]byte, 70000)
	for at := range data {
		data[at] = byte(at * 7919 % 256)
	}
	heard, err := client.Audio.Transcriptions.New(ctx, openai.AudioTranscriptionNewParams{Model: "gpt-4o-transcribe", File: openai.File(bytes.NewReader(data), "a.wav", "audio/wav")})
	check(err)
	fmt.Println(heard.Text)
	content, err := client.Files.Content(ctx, "file-1")
	check(err)
	got, _ := io.ReadAll(content.Body)
	if bytes.Equal(got, data) {
		fmt.Println("Hello from mock")
	}

	claude := anthropic.NewClient()
	message, err := claude.Messages.New(ctx, anthropic.MessageNewParams{Model: "claude-sonnet-4-5", MaxTokens: 10, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))}})
	check(err)
	fmt.Println(message.Content[0].Text)

	gemini, err := genai.NewClient(ctx, nil)
	check(err)
	answer, err := gemini.Models.GenerateContent(ctx, "gemini-2.5-flash", genai.Text("hi"), nil)
	check(err)
	fmt.Println(answer.Text())
	text = ""
	for part, err := range gemini.Models.GenerateContentStream(ctx, "gemini-2.5-flash", genai.Text("hi"), nil) {
		check(err)
		text += part.Text()
	}
	fmt.Println(text)
}
